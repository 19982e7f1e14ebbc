import Randomness

@testable import HTTPCore

/// Gives the text of bytes.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// Copies a view out, so that it can be compared.
func text(_ bytes: Span<UInt8>?) -> String? {
  guard let bytes else { return nil }
  return bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
}

/// Holds an event of a connection of requests and bodies, for comparison.
enum Seen: Equatable {
  case request(Method, path: String, headers: Int, body: String)
  case failed(Int)
}

/// Reads requests with their bodies from pieces, as a server does.
func read(_ pieces: [[UInt8]], limits: HeadLimits = HeadLimits(), bodyBytesMax: Int = 1000) -> [Seen] {
  var parser = RequestParser(limits: limits)
  var awaiting: (RequestHead, BodyReader)?
  var seen: [Seen] = []
  for piece in pieces {
    var cursor = 0
    let span = piece.span
    reading: while true {
      if let (head, reader) = awaiting {
        var reader = reader
        let event = reader.next(in: span, from: &cursor)
        awaiting = (head, reader)
        switch event {
        case .needMore:
          precondition(cursor == piece.count, "needMore left bytes behind")
          break reading
        case .complete(let body):
          seen.append(.request(head.method, path: text(head.path), headers: head.headers.count, body: text(body)))
          awaiting = nil
        case .failed(let status, _): return seen + [.failed(status)]
        }
      } else {
        switch parser.next(in: span, from: &cursor) {
        case .needMore:
          precondition(cursor == piece.count, "needMore left bytes behind")
          break reading
        case .request(let head): awaiting = (head, BodyReader(head.framing, bodyBytesMax: bodyBytesMax))
        case .failed(let status, _): return seen + [.failed(status)]
        }
      }
    }
  }
  return seen
}

/// Parses one head that is expected to be right; nil when it was refused or is not whole.
func parsedHead(_ text: String) -> RequestHead? {
  var parser = RequestParser()
  var cursor = 0
  let bytes = Array(text.utf8)
  guard case .request(let head) = parser.next(in: bytes.span, from: &cursor) else { return nil }
  return head
}

/// Cuts bytes into single ones.
func single(_ bytes: [UInt8]) -> [[UInt8]] { bytes.map { [$0] } }

extension SeededGenerator {
  /// Overwrites some bytes, half of them with bytes that mean something to a parser.
  mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    let telling = Array("\r\n :;,%0Ff\t\0/?*".utf8)
    for _ in 0..<Int.random(in: 1...5, using: &self) {
      let index = Int.random(in: 0..<bytes.count, using: &self)
      let telling = telling[Int.random(in: 0..<telling.count, using: &self)]
      bytes[index] = Bool.random(using: &self) ? telling : UInt8.random(in: 0...255, using: &self)
    }
    return bytes
  }
}
