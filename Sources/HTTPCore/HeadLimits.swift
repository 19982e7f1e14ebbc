/// Bounds what a message head may cost before anything is known about its sender.
public struct HeadLimits: Sendable {
  /// Bytes of the whole head with its last empty line; beyond: 431, as RFC 6585 section 5 allows for the request line too.
  public var headBytesMax = 16 * 1024
  /// Header lines; beyond: 431.
  public var headersMax = 100
  /// Bytes of the request target; beyond: 431.
  public var targetBytesMax = 8 * 1024

  public init() {}
}

/// Says what is wrong with a message: the status to answer, and why.
struct Fault: Error {
  let status: Int
  let reason: StaticString

  static func bad(_ reason: StaticString) -> Fault { Fault(status: 400, reason: reason) }
}
