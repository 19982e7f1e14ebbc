import CZlib

/// Decompresses messages of permessage-deflate without context takeover (RFC 7692 section 7.2.2).
///
/// One serves all connections of a node. Its window is the largest, so that it reads whatever a client wrote.
/// Confined to the thread that created it.
public final class MessageInflater {
  /// Why a payload could not be decompressed.
  public enum Failure: Error, Equatable {
    /// It is longer than allowed: a bomb, or a mistake. Nothing beyond the limit was produced.
    case tooLarge
    /// It is not a deflate stream.
    case corrupt
  }

  private let stream: UnsafeMutablePointer<z_stream>
  /// Decompressed bytes are produced here first, so that memory grows with the output and not with its claim.
  private let chunk: UnsafeMutableBufferPointer<UInt8>

  public init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    guard roost_inflateInit2(stream, -15) == Z_OK else { fatalError("zlib has no memory for a decompressor") }
    chunk = .allocate(capacity: 64 * 1024)
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    chunk.deallocate()
  }

  /// Returns the message, of at most `bytesMax` bytes.
  public func inflate(_ payload: Span<UInt8>, bytesMax: Int) throws(Failure) -> [UInt8] {
    inflateReset(stream)
    var output: [UInt8] = []
    try feed(payload, into: &output, bytesMax)
    // RFC 7692 section 7.2.2: the four bytes that the sender left out.
    let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
    try feed(tail.span, into: &output, bytesMax)
    return output
  }

  private func feed(_ input: Span<UInt8>, into output: inout [UInt8], _ bytesMax: Int) throws(Failure) {
    var failure: Failure?
    // Safe because zlib reads and writes only within the counts it is given, and both buffers outlive the calls.
    input.withUnsafeBufferPointer { source in
      stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
      stream.pointee.avail_in = UInt32(source.count)
      repeat {
        stream.pointee.next_out = chunk.baseAddress
        stream.pointee.avail_out = UInt32(chunk.count)
        let code = CZlib.inflate(stream, Z_SYNC_FLUSH)
        guard code == Z_OK || code == Z_BUF_ERROR || code == Z_STREAM_END else { return failure = .corrupt }
        let produced = chunk.count - Int(stream.pointee.avail_out)
        guard output.count + produced <= bytesMax else { return failure = .tooLarge }
        output.append(contentsOf: chunk[..<produced])
        // RFC 7692 section 7.2.3.4: a final block may end in the middle; what follows begins a stream of its own.
        if code == Z_STREAM_END { inflateReset(stream) }
      } while stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0
    }
    if let failure { throw failure }
  }
}
