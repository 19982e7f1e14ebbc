import CRabbitMQ
import Glibc
import TestSupport

@testable import Bridges
@testable import Settings

/// A real RabbitMQ as an ordinary process, on free ports with a data folder of its own.
final class RabbitProcess {
  let port: UInt16
  private let portMapper: ChildProcess
  private var server: ChildProcess
  private let environment: [String: String]
  private let folder: String

  init() throws {
    var name = Array("/tmp/roost-rabbit-XXXXXX".utf8CString)
    guard mkdtemp(&name) != nil else { throw TestFailure("no folder in /tmp") }
    folder = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    port = try FreePort.find()
    let (mapper, distribution) = (try FreePort.find(), try FreePort.find())
    try "[].".write(to: folder + "/plugins")
    environment = [
      "HOME": folder, "RABBITMQ_NODENAME": "t\(port)@localhost", "RABBITMQ_NODE_PORT": "\(port)",
      "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": "\(distribution)", "ERL_EPMD_PORT": "\(mapper)",
      "RABBITMQ_MNESIA_BASE": folder, "RABBITMQ_LOG_BASE": folder, "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/plugins",
      "RABBITMQ_CONF_ENV_FILE": folder + "/none", "RABBITMQ_CONFIG_FILE": folder + "/none", "RABBITMQ_LOGS": "-",
    ]
    portMapper = try ChildProcess(["epmd", "-port", "\(mapper)", "-address", "127.0.0.1"])
    server = try RabbitProcess.start(environment)
    try awaitStart()
  }

  deinit {
    server.kill()
    portMapper.kill()
    _ = try? ChildProcess(["rm", "-rf", folder]).waitForEnd()
  }

  private static func start(_ environment: [String: String]) throws -> ChildProcess {
    do {
      return try ChildProcess(["/usr/lib/rabbitmq/bin/rabbitmq-server"], environment: environment)
    } catch { throw TestFailure("rabbitmq-server is missing (apt-get install rabbitmq-server): \(error)") }
  }

  private func awaitStart() throws { _ = try server.line(with: "Server startup complete", within: 60) }

  var url: String { "amqp://guest:guest@127.0.0.1:\(port)" }

  func kill() { server.kill() }

  /// Starts it again with what it had.
  func restart() throws {
    server = try RabbitProcess.start(environment)
    try awaitStart()
  }

  /// Opens a connection.
  func connect() throws -> AMQPConnection {
    var bridge = BridgeSettings()
    bridge.kind = .amqp
    bridge.url = try BridgeURL(parsing: url)
    return try AMQPConnection(bridge, host: RedisURL.Endpoint(host: "127.0.0.1", port: Int(port)))
  }
}

extension String {
  fileprivate func write(to path: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw TestFailure("cannot write \(path)") }
    _ = Glibc.write(file, self, utf8.count)
    close(file)
  }
}

/// A client of RabbitMQ for tests.
final class RabbitClient {
  struct Message {
    let key: String
    let body: String
    let headers: [String: String]
    let id: String
  }

  private let connection: AMQPConnection

  init(_ rabbit: RabbitProcess) throws { connection = try rabbit.connect() }

  private func with<Result>(_ text: String, _ body: (amqp_bytes_t) -> Result) -> Result {
    AMQPConnection.with(Array(text.utf8), body)
  }

  func declare(queue: String) throws {
    with(queue) { _ = amqp_queue_declare(connection.state, 1, $0, 0, 1, 0, 0, amqp_table_t()) }
    try connection.check("declare \(queue)")
  }

  /// Makes a durable exchange that sends everything into a queue.
  func declare(exchange: String, into queue: String) throws {
    try declare(queue: queue)
    with(exchange) { name in
      _ = with("topic") { amqp_exchange_declare(connection.state, 1, name, $0, 0, 1, 0, 0, amqp_table_t()) }
    }
    try connection.check("declare \(exchange)")
    with(exchange) { name in
      with(queue) { target in
        _ = with("#") { amqp_queue_bind(connection.state, 1, target, name, $0, amqp_table_t()) }
      }
    }
    try connection.check("bind \(queue)")
  }

  func confirmPublishes() throws {
    amqp_confirm_select(connection.state, 1)
    try connection.check("confirms")
  }

  /// Publishes a lasting message.
  func publish(queue: String, id: String, _ body: String) throws {
    var properties = amqp_basic_properties_t()
    properties._flags = UInt32(AMQP_BASIC_MESSAGE_ID_FLAG) | UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG)
    properties.delivery_mode = 2
    let status = with(queue) { key in
      with(id) { id in
        properties.message_id = id
        return with(body) { amqp_basic_publish(connection.state, 1, amqp_bytes_t(), key, 0, 0, &properties, $0) }
      }
    }
    guard status == 0 else { throw TestFailure(AMQPConnection.text(status)) }
  }

  /// Waits until so many publishes were confirmed.
  func awaitConfirms(_ count: UInt64) throws {
    var last: UInt64 = 0
    while last < count {
      var frame = amqp_frame_t()
      var timeout = timeval(tv_sec: 30, tv_usec: 0)
      guard amqp_simple_wait_frame_noblock(connection.state, &frame, &timeout) == 0 else {
        throw TestFailure("\(last) of \(count) publishes were confirmed")
      }
      var multiple: Int32 = 0
      if roost_amqp_method(&frame) == AMQPMethod.basicAck { last = max(last, roost_amqp_acked_tag(&frame, &multiple)) }
    }
  }

  /// Takes messages out of a queue until `isEnough` or the time is over.
  func read(queue: String, within seconds: Double, until isEnough: ([Message]) -> Bool) throws -> [Message] {
    with(queue) {
      _ = amqp_basic_consume(connection.state, 1, $0, amqp_bytes_t(), 0, 1, 0, amqp_table_t())
    }
    try connection.check("consume \(queue)")
    var messages: [Message] = []
    let deadline = Deadline(within: seconds)
    while deadline.millisecondsLeft > 0, !isEnough(messages) {
      var envelope = amqp_envelope_t()
      var timeout = timeval(tv_sec: 0, tv_usec: 100_000)
      amqp_maybe_release_buffers(connection.state)
      guard amqp_consume_message(connection.state, &envelope, &timeout, 0).reply_type == AMQP_RESPONSE_NORMAL else {
        continue
      }
      messages.append(RabbitClient.message(envelope))
      amqp_destroy_envelope(&envelope)
    }
    return messages
  }

  private static func message(_ envelope: amqp_envelope_t) -> Message {
    let properties = envelope.message.properties
    var headers: [String: String] = [:]
    if properties._flags & UInt32(AMQP_BASIC_HEADERS_FLAG) != 0, let entries = properties.headers.entries {
      for index in 0..<Int(properties.headers.num_entries) {
        headers[text(entries[index].key)] = text(roost_amqp_field_text(entries[index].value, nil))
      }
    }
    return Message(
      key: text(envelope.routing_key), body: text(envelope.message.body), headers: headers,
      id: text(properties.message_id))
  }

  private static func text(_ bytes: amqp_bytes_t) -> String {
    String(decoding: AMQPConnection.bytes(bytes), as: UTF8.self)
  }
}
