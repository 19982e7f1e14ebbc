import JSONCore

/// What a bridge connects rooms with.
public enum BridgeKind: String, CaseIterable, Sendable {
  case kafka
  case amqp
}

/// How a bridge logs in to Kafka.
public enum BridgeLogin: String, CaseIterable, Sendable {
  case plain = "PLAIN"
  case scram256 = "SCRAM-SHA-256"
  case scram512 = "SCRAM-SHA-512"
}

/// One entry of a bridge's `in`: records that are published in rooms.
public struct BridgeInput: Equatable, Sendable {
  /// The topic or the queue.
  public var source = ""
  /// The room of a record.
  public var room: BridgeTemplate?
  /// In whose name it is published; nil: nobody's.
  public var user: BridgeTemplate?
  /// The member that the record becomes; nil: its members become the message's.
  public var member: String?
  /// What makes a redelivery recognisable; nil: of Kafka the offset, of AMQP the message-id.
  public var id: BridgeTemplate?
  /// Where bad records go; nil: the source's name and `.dead-letter`.
  public var deadLetter: String?

  /// Where bad records go.
  public var deadLetterName: String { deadLetter ?? source + ".dead-letter" }
}

/// One entry of a bridge's `out`: messages that are written to the other side.
public struct BridgeOutput: Equatable, Sendable {
  /// A glob of the rooms.
  public var match = ""
  /// The topic or the exchange.
  public var target = ""
  /// The key of a record, of AMQP its routing key; nil: the room.
  public var key: BridgeTemplate?
}

/// One entry of the settings file's `bridges`.
public struct BridgeSettings: Equatable, Sendable {
  /// Its name in metrics, in the log and in Redis.
  public var name = ""
  public var kind = BridgeKind.kafka
  /// Where the other side is; nil only while an entry is read.
  public var url: BridgeURL?
  /// What comes in.
  public var inputs: [BridgeInput] = []
  /// What goes out.
  public var outputs: [BridgeOutput] = []
  /// Kafka's consumer group; nil: made of the prefix of Redis and the name.
  public var group: String?
  /// How it logs in to Kafka, when the URL has a user.
  public var login = BridgeLogin.plain
  /// PEM files for TLS; nil: the system's authorities, and no certificate of its own.
  public var authorityPath: String?
  public var certificatePath: String?
  public var keyPath: String?
  /// More of what librdkafka can be told, by its names.
  public var options: [BridgeOption] = []
}

/// A setting of librdkafka.
public struct BridgeOption: Equatable, Sendable {
  public let name: String
  public let value: String
}

extension BridgeSettings {
  /// Bridges of one cluster: each costs two connections and some threads.
  static let bridgesMax = 16
  /// Entries of `in` and of `out` of one bridge: each message is compared with every glob.
  static let routesMax = 64
  /// What a bridge's guarantees stand on.
  static let fixedOptions = [
    "bootstrap.servers", "metadata.broker.list", "group.id", "enable.auto.commit", "enable.auto.offset.store",
    "enable.idempotence", "acks", "request.required.acks", "message.timeout.ms", "delivery.timeout.ms",
    "partition.assignment.strategy", "sasl.username", "sasl.password", "sasl.mechanisms", "sasl.mechanism",
    "security.protocol",
  ]
}
