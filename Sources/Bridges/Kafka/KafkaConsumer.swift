import BridgeCore
import CRdKafka
import LoopCore
import Settings

/// Reads topics of Kafka as a member of a consumer group. Each partition is a lane: its records stay in order. Confined to
/// the loop.
final class KafkaConsumer: InboundSource {
  private struct Partition: Hashable {
    let topic: String
    let number: Int32
  }

  private struct Assigned {
    let lane: InLane
    /// The offset after the last record that is done; nil: none is.
    var next: Int64?
    /// What was committed last.
    var committed: Int64?
  }

  private static let commitMilliseconds = 200
  /// Records taken in one tick: the rest waits for the next, so that leases are renewed in time.
  private static let recordsPerTick = 1000

  private let loop: EventLoop
  private let log: OnceLog
  private let makeLane: (_ source: String) -> InLane?
  private var client: OpaquePointer?
  private var wake: KafkaWake?
  private var partitions: [Partition: Assigned] = [:]
  private var isStopping = false

  /// - Parameter makeLane: makes a lane for a partition of a topic.
  init(
    _ loop: EventLoop, _ bridge: BridgeSettings, group: String, _ log: OnceLog,
    makeLane: @escaping (_ source: String) -> InLane?
  ) throws(BridgeFault) {
    self.loop = loop
    self.log = log
    self.makeLane = makeLane
    var fixed = [("group.id", group), ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false")]
    let defaults = [("auto.offset.reset", "earliest"), ("queued.max.messages.kbytes", "16384")]
    fixed += defaults.filter { entry in !bridge.options.contains { $0.name == entry.0 } }
    let configuration = try KafkaConfiguration.make(bridge, fixed)
    rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(self).toOpaque())
    rd_kafka_conf_set_rebalance_cb(configuration) { _, error, list, opaque in
      guard let opaque, let list else { return }
      // Safe because the client is closed before this object goes, and callbacks come from `poll` and `stop` only, on the
      // loop's thread.
      Unmanaged<KafkaConsumer>.fromOpaque(opaque).takeUnretainedValue().rebalance(error, list)
    }
    rd_kafka_conf_set_offset_commit_cb(configuration) { _, error, _, opaque in
      guard let opaque, error != RD_KAFKA_RESP_ERR_NO_ERROR, error != RD_KAFKA_RESP_ERR__NO_OFFSET else { return }
      // Safe as above.
      Unmanaged<KafkaConsumer>.fromOpaque(opaque).takeUnretainedValue().commitFailed(error)
    }
    rd_kafka_conf_set_error_cb(configuration) { _, error, reason, opaque in
      guard let opaque, let reason else { return }
      // Safe as above.
      let consumer = Unmanaged<KafkaConsumer>.fromOpaque(opaque).takeUnretainedValue()
      consumer.log.warn("Kafka: \(String(cString: reason)) (\(KafkaText.of(rd_kafka_resp_err_t(rawValue: error))))")
    }
    let client = try KafkaConfiguration.client(RD_KAFKA_CONSUMER, configuration)
    self.client = client
    rd_kafka_poll_set_consumer(client)
    guard let topics = rd_kafka_topic_partition_list_new(Int32(bridge.inputs.count)) else { return }
    for input in bridge.inputs { rd_kafka_topic_partition_list_add(topics, input.source, -1) }
    let error = rd_kafka_subscribe(client, topics)
    rd_kafka_topic_partition_list_destroy(topics)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else { throw BridgeFault(description: KafkaText.of(error)) }
    do throws(SystemError) {
      guard let queue = rd_kafka_queue_get_consumer(client) else {
        throw SystemError("rd_kafka_queue_get_consumer", code: 0)
      }
      wake = try KafkaWake(loop, queue: queue) { [weak self] in self?.poll() }
      rd_kafka_queue_destroy(queue)
    } catch {
      throw BridgeFault(description: String(describing: error))
    }
    commitLater()
  }

  /// Records that are known to wait, those that were fetched included.
  var lag: Int {
    guard let client else { return 0 }
    return partitions.reduce(0) { sum, entry in
      var (low, high): (Int64, Int64) = (0, 0)
      // Answered from what the last fetch brought.
      let error = rd_kafka_get_watermark_offsets(client, entry.key.topic, entry.key.number, &low, &high)
      guard error == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0, let next = entry.value.next else {
        return sum + entry.value.lane.count
      }
      return sum + max(entry.value.lane.count, Int(high - next))
    }
  }

  // MARK: Records

  private func poll() {
    guard let client else { return }
    for _ in 0..<Self.recordsPerTick {
      guard let message = rd_kafka_consumer_poll(client, 0) else { return }
      receive(message)
      rd_kafka_message_destroy(message)
    }
    wake?.again()
  }

  private func receive(_ message: UnsafeMutablePointer<rd_kafka_message_t>) {
    let raw = message.pointee
    guard raw.err == RD_KAFKA_RESP_ERR_NO_ERROR, let topic = raw.rkt else {
      if raw.err != RD_KAFKA_RESP_ERR__PARTITION_EOF { log.warn("Kafka: \(KafkaText.of(raw.err))") }
      return
    }
    let name = String(cString: rd_kafka_topic_name(topic))
    guard let assigned = partitions[Partition(topic: name, number: raw.partition)] else { return }
    let record = InboundRecord(
      source: Array(name.utf8), key: raw.key == nil ? nil : KafkaText.bytes(raw.key, raw.key_len),
      headers: KafkaText.headers(of: message), value: KafkaText.bytes(raw.payload, raw.len),
      id: Array("\(raw.partition):\(raw.offset)".utf8))
    assigned.lane.receive(record, tag: UInt64(max(0, raw.offset)))
  }

  // MARK: Partitions

  private func rebalance(_ error: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
    guard let client else { return }
    let entries = UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
    guard error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS else {
      commit()
      for entry in entries { remove(partition(entry)) }
      rd_kafka_assign(client, nil)
      return
    }
    for entry in entries {
      let partition = partition(entry)
      remove(partition)
      guard let lane = makeLane(partition.topic) else { continue }
      lane.confirm = { [weak self] in self?.partitions[partition]?.next = Int64($0) + 1 }
      lane.setPaused = { [weak self] in self?.setPaused(partition, $0) }
      partitions[partition] = Assigned(lane: lane)
    }
    log.info("Kafka has assigned \(entries.count) partitions")
    rd_kafka_assign(client, list)
  }

  private func partition(_ entry: rd_kafka_topic_partition_t) -> Partition {
    Partition(topic: String(cString: entry.topic), number: entry.partition)
  }

  /// What is still on its way is published, and comes again from the partition's next owner.
  private func remove(_ partition: Partition) {
    guard let lane = partitions.removeValue(forKey: partition)?.lane else { return }
    lane.close()
    lane.confirm = { _ in }
    lane.setPaused = { _ in }
  }

  private func setPaused(_ partition: Partition, _ isPaused: Bool) {
    guard let client, !isStopping, let list = rd_kafka_topic_partition_list_new(1) else { return }
    rd_kafka_topic_partition_list_add(list, partition.topic, partition.number)
    if isPaused { rd_kafka_pause_partitions(client, list) } else { rd_kafka_resume_partitions(client, list) }
    rd_kafka_topic_partition_list_destroy(list)
  }

  // MARK: Commits

  private func commitLater() {
    loop.after(milliseconds: Self.commitMilliseconds) { [weak self] in
      guard let self, client != nil else { return }
      // A record that woke nobody, and what keeps this member in its group.
      poll()
      commit()
      commitLater()
    }
  }

  /// Commits what is done. Whatever is lost of it comes again, and is published once.
  private func commit() {
    let due = partitions.filter { $0.value.next != nil && $0.value.next != $0.value.committed }
    guard let client, !due.isEmpty, let list = rd_kafka_topic_partition_list_new(Int32(due.count)) else { return }
    for (partition, assigned) in due {
      rd_kafka_topic_partition_list_add(list, partition.topic, partition.number).pointee.offset = assigned.next ?? 0
      partitions[partition]?.committed = assigned.next
    }
    rd_kafka_commit(client, list, 1)
    rd_kafka_topic_partition_list_destroy(list)
  }

  /// What was to be committed is committed again with the next round.
  private func commitFailed(_ error: rd_kafka_resp_err_t) {
    log.warn("Kafka did not take a commit, which is tried again: \(KafkaText.of(error))")
    for partition in partitions.keys { partitions[partition]?.committed = nil }
  }

  // MARK: End

  var isQuiet: Bool { partitions.values.allSatisfy { $0.lane.inFlight == 0 } }

  func beginStop() {
    isStopping = true
    for assigned in partitions.values { assigned.lane.close() }
  }

  var hasEnded: Bool { client == nil }

  func stop() {
    guard let client else { return }
    commit()
    // Leaves the group, so that others go on at once; waits for the last commit.
    rd_kafka_consumer_close(client)
    self.client = nil
    rd_kafka_destroy(client)
  }
}

@available(*, unavailable)
extension KafkaConsumer: Sendable {}
