/// What a client needs of the system it runs on: WebSockets and HTTP requests. On Linux over this package's own sockets, on
/// Apple platforms over URLSession.
protocol ClientTransport: Sendable {
  /// Starts to open a WebSocket.
  func webSocket(_ request: WireRequest) -> any WireConnection
  /// Starts an HTTP request on a connection of its own.
  func http(_ request: WireRequest) -> any WireConnection
}

/// One WebSocket, or one HTTP request with its answer.
protocol WireConnection: Sendable {
  /// What happens, for one reader. The last one is `ended`.
  var events: AsyncStream<WireEvent> { get }
  /// Sends a text over a WebSocket, after those that were sent before.
  func send(_ text: [UInt8])
  /// Notes that so many bytes of events were taken: when too many wait, the connection is read no further.
  func consumed(_ bytes: Int)
  /// Ends it. An open WebSocket is closed with 1000.
  func close()
}
