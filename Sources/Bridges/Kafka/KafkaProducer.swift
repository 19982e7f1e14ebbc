import BridgeCore
import CRdKafka
import LoopCore
import Settings

/// Writes records to Kafka by an idempotent producer, which keeps the order of a key through every retry. A record stays in
/// its queue until the cluster has it. Confined to the loop.
final class KafkaProducer: BridgeSink {
  /// A report that woke nobody is found after so long.
  private static let pollMilliseconds = 250

  private let loop: EventLoop
  private let log: OnceLog
  private var client: OpaquePointer?
  private var wake: KafkaWake?
  private var waiting: [UInt: (SinkResult) -> Void] = [:]
  private var nextToken: UInt = 0

  let isReady = true
  var readyChanged: () -> Void = {}

  init(_ loop: EventLoop, _ bridge: BridgeSettings, _ log: OnceLog) throws(BridgeFault) {
    self.loop = loop
    self.log = log
    let configuration = try KafkaConfiguration.make(
      bridge, [("enable.idempotence", "true"), ("message.timeout.ms", "0"), ("linger.ms", "5")])
    rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(self).toOpaque())
    rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
      guard let message, let opaque else { return }
      // Safe because the client is destroyed before this object, and reports come from `poll` only, on the loop's thread.
      let producer = Unmanaged<KafkaProducer>.fromOpaque(opaque).takeUnretainedValue()
      producer.report(UInt(bitPattern: message.pointee._private), message.pointee.err)
    }
    rd_kafka_conf_set_error_cb(configuration) { _, error, reason, opaque in
      guard let opaque, let reason else { return }
      // Safe as above.
      let producer = Unmanaged<KafkaProducer>.fromOpaque(opaque).takeUnretainedValue()
      producer.log.warn("Kafka: \(String(cString: reason)) (\(KafkaText.of(rd_kafka_resp_err_t(rawValue: error))))")
    }
    let client = try KafkaConfiguration.client(RD_KAFKA_PRODUCER, configuration)
    self.client = client
    let queue = rd_kafka_queue_get_main(client)
    do throws(SystemError) {
      guard let queue else { throw SystemError("rd_kafka_queue_get_main", code: 0) }
      wake = try KafkaWake(loop, queue: queue) { [weak self] in self?.poll() }
      rd_kafka_queue_destroy(queue)
    } catch {
      throw BridgeFault(description: String(describing: error))
    }
    pollLater()
  }

  func send(_ record: OutboundRecord, _ done: @escaping (SinkResult) -> Void) {
    guard let client else { return done(.failed) }
    let headers = rd_kafka_headers_new(record.headers.count)
    for header in record.headers {
      rd_kafka_header_add(
        headers, header.name.map { CChar(bitPattern: $0) }, header.name.count, header.value, header.value.count)
    }
    nextToken &+= 1
    let token = UnsafeMutableRawPointer(bitPattern: nextToken)
    waiting[nextToken] = done
    let error = roost_kafka_produce(
      client, record.target, record.key, record.key.count, record.value, record.value.count, headers, token)
    guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    rd_kafka_headers_destroy(headers)
    waiting[nextToken] = nil
    done(result(of: error))
  }

  private func result(of error: rd_kafka_resp_err_t) -> SinkResult {
    switch error {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return .written
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
      RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return .refused(KafkaText.of(error))
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, RD_KAFKA_RESP_ERR__DESTROY:
      return .failed
    default:
      log.warn("Kafka does not take records: \(KafkaText.of(error))")
      return .failed
    }
  }

  private func report(_ token: UInt, _ error: rd_kafka_resp_err_t) {
    waiting.removeValue(forKey: token)?(result(of: error))
  }

  private func poll() {
    guard let client else { return }
    for _ in 0..<100 where rd_kafka_poll(client, 0) == 0 { return }
    wake?.again()
  }

  private func pollLater() {
    loop.after(milliseconds: Self.pollMilliseconds) { [weak self] in
      guard let self, client != nil else { return }
      poll()
      pollLater()
    }
  }

  func purge() {
    guard let client else { return }
    rd_kafka_purge(client, Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT))
  }

  func stop() {
    guard let client else { return }
    purge()
    rd_kafka_poll(client, 0)
    self.client = nil
    rd_kafka_destroy(client)
    let rest = waiting
    waiting = [:]
    for done in rest.values { done(.failed) }
  }
}

@available(*, unavailable)
extension KafkaProducer: Sendable {}
