import CHiredis
import ClientProtocol
import Realtime

/// One answer of Redis, or a part of one. Points into the parser's memory: valid during the call that it is given to.
package struct Reply {
  package enum Kind { case string, array, integer, null, status, error }

  private let pointer: UnsafeMutablePointer<redisReply>

  init(_ pointer: UnsafeMutablePointer<redisReply>) { self.pointer = pointer }

  package var kind: Kind {
    switch pointer.pointee.type {
    case REDIS_REPLY_STRING: .string
    case REDIS_REPLY_ARRAY: .array
    case REDIS_REPLY_INTEGER: .integer
    case REDIS_REPLY_STATUS: .status
    case REDIS_REPLY_ERROR: .error
    default: .null
    }
  }

  /// The number of an integer, 0 for anything else.
  package var integer: Int { kind == .integer ? Int(pointer.pointee.integer) : 0 }

  /// The bytes of a string, status or error, without a copy; empty for anything else.
  var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let text: UnsafeMutablePointer<CChar>? =
        switch kind {
        case .string, .status, .error: pointer.pointee.str
        default: nil
        }
      // Safe because hiredis keeps `len` bytes at `str` until the reply is freed, which is after the call it is given to.
      let start = UnsafeRawPointer(text)?.assumingMemoryBound(to: UInt8.self)
      let span = Span(_unsafeStart: start ?? Reply.nothing, count: start == nil ? 0 : pointer.pointee.len)
      return _overrideLifetime(span, borrowing: self)
    }
  }

  /// Where an empty span points to.
  // Safe because it is never written, and never read through: every span over it is empty.
  nonisolated(unsafe) private static let nothing = UnsafePointer(UnsafeMutablePointer<UInt8>.allocate(capacity: 1))

  /// A copy of `bytes`.
  package var copy: [UInt8] {
    let bytes = bytes
    return [UInt8](unsafeUninitializedCapacity: bytes.count) { buffer, count in
      for i in bytes.indices { buffer[i] = bytes[i] }
      count = bytes.count
    }
  }

  var isError: Bool { kind == .error }

  /// Whether this Redis cannot serve at all now, or not on this connection (protected mode, `maxclients`).
  package var isFatal: Bool {
    guard isError else { return false }
    return begins(with: "LOADING") || begins(with: "READONLY") || begins(with: "MASTERDOWN") || begins(with: "NOAUTH")
      || begins(with: "MISCONF") || begins(with: "DENIED") || begins(with: "ERR max number of clients")
  }

  /// Whether a key has another type than the command is for. A script's error has it after the
  /// words of Redis 6 and before.
  package var isWrongType: Bool { isError && (begins(with: "WRONGTYPE") || text.contains("WRONGTYPE")) }

  /// The parts of an array; empty for anything else.
  package var count: Int { kind == .array ? pointer.pointee.elements : 0 }

  package subscript(_ index: Int) -> Reply {
    precondition(index >= 0 && index < count)
    // Safe because hiredis fills all `elements` of a finished array, and the index was just checked.
    return Reply(pointer.pointee.element[index]!)
  }

  /// Whether the bytes begin with `text`.
  func begins(with text: StaticString) -> Bool {
    let bytes = bytes
    guard bytes.count >= text.utf8CodeUnitCount else { return false }
    for i in 0..<text.utf8CodeUnitCount where bytes[i] != text.utf8Start[i] { return false }
    return true
  }

  /// The bytes as text, for the log.
  var text: String { String(decoding: copy, as: UTF8.self) }

  /// The position that the bytes spell, or nil.
  package var position: Position? { Position(text: bytes) }
}
