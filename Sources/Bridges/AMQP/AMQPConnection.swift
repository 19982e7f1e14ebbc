import CRabbitMQ
import Glibc
import Settings

/// One connection to a RabbitMQ with one channel. Blocks its thread, which is a helper's, never the loop's.
final class AMQPConnection {
  private static let connectSeconds = 5
  private static let heartbeatSeconds: Int32 = 10
  static let channel: amqp_channel_t = 1

  let state: amqp_connection_state_t
  let descriptor: Int32

  /// Connects to one of the hosts and logs in.
  init(_ bridge: BridgeSettings, host: RedisURL.Endpoint) throws(BridgeFault) {
    guard let url = bridge.url, let state = amqp_new_connection() else {
      throw BridgeFault(description: "no memory for a connection")
    }
    self.state = state
    do throws(BridgeFault) {
      let socket = try AMQPConnection.socket(state, bridge, url)
      var timeout = timeval(tv_sec: AMQPConnection.connectSeconds, tv_usec: 0)
      let status = amqp_socket_open_noblock(socket, host.host, Int32(host.port), &timeout)
      guard status == AMQP_STATUS_OK.rawValue else {
        throw BridgeFault(description: "cannot connect to \(host): \(AMQPConnection.text(status))")
      }
      var handshake = timeval(tv_sec: AMQPConnection.connectSeconds, tv_usec: 0)
      amqp_set_handshake_timeout(state, &handshake)
      let rpcTimeout = handshake
      var rpc = rpcTimeout
      amqp_set_rpc_timeout(state, &rpc)
      let reply = roost_amqp_login(
        state, url.virtualHost, AMQPConnection.heartbeatSeconds, url.user ?? "guest", url.password ?? "guest")
      try AMQPConnection.check(reply, "log in at \(host)")
      amqp_channel_open(state, AMQPConnection.channel)
      try AMQPConnection.check(amqp_get_rpc_reply(state), "open a channel")
    } catch {
      amqp_destroy_connection(state)
      throw error
    }
    descriptor = amqp_get_sockfd(state)
  }

  deinit { amqp_destroy_connection(state) }

  /// Closes it in order, which a broker that is away does not answer in time.
  func close() { amqp_connection_close(state, Int32(AMQP_REPLY_SUCCESS)) }

  private static func socket(
    _ state: amqp_connection_state_t, _ bridge: BridgeSettings, _ url: BridgeURL
  ) throws(BridgeFault) -> OpaquePointer {
    guard url.usesTLS else {
      guard let socket = amqp_tcp_socket_new(state) else { throw BridgeFault(description: "no memory for a socket") }
      return socket
    }
    guard let socket = amqp_ssl_socket_new(state) else { throw BridgeFault(description: "no memory for TLS") }
    amqp_ssl_socket_set_verify_peer(socket, 1)
    amqp_ssl_socket_set_verify_hostname(socket, 1)
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST)
    // This library knows no default, so the system's authorities are named.
    let authority = bridge.authorityPath ?? "/etc/ssl/certs/ca-certificates.crt"
    guard amqp_ssl_socket_set_cacert(socket, authority) == AMQP_STATUS_OK.rawValue else {
      throw BridgeFault(description: "ca: cannot read \(authority)")
    }
    if let certificate = bridge.certificatePath, let key = bridge.keyPath,
      amqp_ssl_socket_set_key(socket, certificate, key) != AMQP_STATUS_OK.rawValue
    {
      throw BridgeFault(description: "cert and key cannot be used: \(certificate), \(key)")
    }
    return socket
  }

  // MARK: Answers

  static func text(_ status: Int32) -> String { String(cString: amqp_error_string2(status)) }

  /// Throws what an answer says is wrong.
  static func check(_ reply: amqp_rpc_reply_t, _ what: String) throws(BridgeFault) {
    switch reply.reply_type {
    case AMQP_RESPONSE_NORMAL: return
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
      throw BridgeFault(description: "cannot \(what): \(text(reply.library_error))")
    case AMQP_RESPONSE_SERVER_EXCEPTION:
      var code: Int32 = 0
      let reason = roost_amqp_close_reason(reply.reply, &code)
      throw BridgeFault(description: "cannot \(what): \(String(decoding: bytes(reason), as: UTF8.self)) (\(code))")
    default: throw BridgeFault(description: "cannot \(what): no answer")
    }
  }

  func check(_ what: String) throws(BridgeFault) { try AMQPConnection.check(amqp_get_rpc_reply(state), what) }

  static func bytes(_ bytes: amqp_bytes_t) -> [UInt8] {
    guard let start = bytes.bytes, bytes.len > 0 else { return [] }
    // Safe because the library keeps `len` bytes there until its buffers are released.
    return [UInt8](UnsafeRawBufferPointer(start: start, count: bytes.len))
  }

  /// Lends bytes to the library for a call.
  static func with<Result>(_ bytes: [UInt8], _ body: (amqp_bytes_t) -> Result) -> Result {
    bytes.withUnsafeBytes { body(roost_amqp_bytes($0.baseAddress, $0.count)) }
  }
}
