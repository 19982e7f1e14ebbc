import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// What a request is called in the log and in answers that refuse it: as its `X-Request-ID` says, which proxies and backends
/// know it by, else by the node, the connection and the request's number on it. It costs nothing before it is asked for.
struct RequestID {
  /// Bytes of an id that a request brings: a longer one is ignored, and so is one that is not visible ASCII.
  static let bytesMax = 128

  let node: [UInt8]
  let connection: SlabID
  let number: UInt32

  /// The id of a request.
  ///
  /// - Parameter head: nil: it could not be read.
  func text(_ head: RequestHead?) -> [UInt8] {
    if let brought = head?.list(.requestID), (1...RequestID.bytesMax).contains(brought.count),
      brought.allSatisfy({ (0x21...0x7E).contains($0) })
    {
      return brought
    }
    var text = node + Array("-r".utf8)
    JSONNumber.append(connection.word, to: &text)
    text.append(UInt8(ascii: "-"))
    JSONNumber.append(UInt64(number), to: &text)
    return text
  }
}
