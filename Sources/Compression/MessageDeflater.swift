import CZlib

/// Compresses messages for permessage-deflate without context takeover (RFC 7692 section 7.2.1).
///
/// Every message stands alone, so one compressor serves all connections of a node and one result all members of a
/// room; an idle connection owns no state. Confined to the thread that created it.
public final class MessageDeflater {
  /// Shorter messages are sent as they are: the block header and a cold dictionary leave little to gain, and
  /// compressing costs more than the kernel's send.
  public static let payloadBytesMin = 256

  /// Speed over size: the same message goes to many, but few messages are long.
  private static let level: Int32 = 1
  private static let memoryLevel: Int32 = 8

  private let stream: UnsafeMutablePointer<z_stream>

  /// - Parameter windowBits: 9 to 15, the window that the receivers announced.
  public init(windowBits: Int32) {
    precondition((9...15).contains(windowBits), "zlib compresses raw deflate with a window of 9 to 15 bits")
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Negative: raw deflate, without the zlib header.
    let code = roost_deflateInit2(stream, MessageDeflater.level, -windowBits, MessageDeflater.memoryLevel)
    guard code == Z_OK else { fatalError("zlib has no memory for a compressor") }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Returns the compressed payload, or nil when it is not shorter than the original.
  public func deflate(_ payload: Span<UInt8>) -> [UInt8]? {
    deflateReset(stream)
    // Room for the worst case, so that one call is enough, and for the empty block of the flush.
    let bound = Int(deflateBound(stream, UInt(payload.count))) + 16
    var output = [UInt8](repeating: 0, count: bound)
    // Safe because zlib reads and writes only within the counts it is given, and both buffers outlive the call.
    let written = output.withUnsafeMutableBufferPointer { target in
      payload.withUnsafeBufferPointer { source in
        stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
        stream.pointee.avail_in = UInt32(source.count)
        stream.pointee.next_out = target.baseAddress
        stream.pointee.avail_out = UInt32(target.count)
        let code = CZlib.deflate(stream, Z_SYNC_FLUSH)
        return code == Z_OK && stream.pointee.avail_in == 0 ? target.count - Int(stream.pointee.avail_out) : 0
      }
    }
    // RFC 7692 section 7.2.1: the four bytes of the flush are not sent.
    guard written > 4, written - 4 < payload.count else { return nil }
    output.removeLast(output.count - written + 4)
    return output
  }
}
