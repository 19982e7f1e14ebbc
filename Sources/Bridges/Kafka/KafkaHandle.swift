import CRdKafka
import CSystem
import Glibc
import LoopCore
import Settings

/// Settings of librdkafka for a bridge, and the descriptor by which it wakes the loop.
enum KafkaConfiguration {
  /// Makes a configuration; the caller gives it to `rd_kafka_new`.
  ///
  /// - Parameter fixed: what this client needs; a bridge's own options cannot change it.
  static func make(_ bridge: BridgeSettings, _ fixed: [(String, String)]) throws(BridgeFault) -> OpaquePointer {
    guard let url = bridge.url, let configuration = rd_kafka_conf_new() else {
      throw BridgeFault(description: "librdkafka gave no configuration")
    }
    // A consumer takes no producer's options and the other way round: librdkafka ignores them with a log line.
    rd_kafka_conf_set_log_cb(configuration, nil)
    for option in bridge.options { try set(configuration, option.name, option.value) }
    try set(configuration, "bootstrap.servers", url.hosts.map(\.description).joined(separator: ","))
    try set(configuration, "client.id", "roost-\(bridge.name)")
    let transport = url.usesTLS ? "ssl" : "plaintext"
    try set(configuration, "security.protocol", url.user == nil ? transport : "sasl_\(transport)")
    if let user = url.user, let password = url.password {
      try set(configuration, "sasl.mechanisms", bridge.login.rawValue)
      try set(configuration, "sasl.username", user)
      try set(configuration, "sasl.password", password)
    }
    if let path = bridge.authorityPath { try set(configuration, "ssl.ca.location", path) }
    if let path = bridge.certificatePath { try set(configuration, "ssl.certificate.location", path) }
    if let path = bridge.keyPath { try set(configuration, "ssl.key.location", path) }
    for (name, value) in fixed { try set(configuration, name, value) }
    return configuration
  }

  /// The message of librdkafka may repeat the value, so a secret's is left out.
  static func set(_ configuration: OpaquePointer, _ name: String, _ value: String) throws(BridgeFault) {
    var reason = [CChar](repeating: 0, count: 512)
    let result = rd_kafka_conf_set(configuration, name, value, &reason, reason.count)
    guard result != RD_KAFKA_CONF_OK else { return }
    let text = name.contains("password") ? "is not accepted" : KafkaText.of(reason)
    throw BridgeFault(description: "\(name): \(text)")
  }

  /// Makes a client; it takes the configuration.
  static func client(_ kind: rd_kafka_type_t, _ configuration: OpaquePointer) throws(BridgeFault) -> OpaquePointer {
    var reason = [CChar](repeating: 0, count: 512)
    guard let client = rd_kafka_new(kind, configuration, &reason, reason.count) else {
      rd_kafka_conf_destroy(configuration)
      throw BridgeFault(description: KafkaText.of(reason))
    }
    return client
  }
}

/// Texts of librdkafka.
enum KafkaText {
  static func of(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func of(_ error: rd_kafka_resp_err_t) -> String { String(cString: rd_kafka_err2str(error)) }

  /// The bytes at a pointer; none for NULL.
  static func bytes(_ start: UnsafeRawPointer?, _ count: Int) -> [UInt8] {
    guard let start, count > 0 else { return [] }
    // Safe because librdkafka keeps `count` bytes there until the message is destroyed.
    return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
  }

  /// The headers of a message.
  static func headers(of message: UnsafePointer<rd_kafka_message_t>) -> [(name: [UInt8], value: [UInt8])] {
    var list: OpaquePointer?
    guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return [] }
    var headers: [(name: [UInt8], value: [UInt8])] = []
    for index in 0..<rd_kafka_header_cnt(list) {
      var (name, value): (UnsafePointer<CChar>?, UnsafeRawPointer?) = (nil, nil)
      var size = 0
      guard rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let name else {
        break
      }
      headers.append((Array(String(cString: name).utf8), bytes(value, size)))
    }
    return headers
  }
}

/// The descriptor that a queue of librdkafka writes to when it is no longer empty. Confined to the loop.
final class KafkaWake: EventHandler {
  private let descriptor: Int32
  private let wake: () -> Void
  private let payload: UnsafeMutablePointer<UInt64>

  init(_ loop: EventLoop, queue: OpaquePointer, _ wake: @escaping () -> Void) throws(SystemError) {
    descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard descriptor >= 0 else { throw SystemError("eventfd") }
    self.wake = wake
    payload = .allocate(capacity: 1)
    payload.pointee = 1
    try loop.watch(descriptor, for: .read, handler: loop.attach(self), token: 0)
    // The library copies the eight bytes, which add 1 to the eventfd.
    rd_kafka_queue_io_event_enable(queue, descriptor, payload, 8)
  }

  deinit { payload.deallocate() }

  func ready(_ token: UInt64, _ readiness: Readiness) {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
    wake()
  }

  /// Wakes the loop once more in the next tick.
  func again() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }
}
