import TimeCore

/// The limits of Engine.IO and Socket.IO connections that are not settings, each with its reason.
struct EngineLimits {
  /// Namespaces that one connection may be connected to: each is a session with rooms of its own. The largest applications have
  /// some ten.
  static let namespacesMax = 32
  /// Namespaces that one connection may ask for in its life, refused ones included: a client that connects to one again and
  /// again costs as much as one that opens connections, which `handshake-rate` limits.
  static let connectsMax: UInt16 = 10_000
  /// Bytes of a polling request's body, unless `max-message` needs more: as the official server has it. A body holds many
  /// packets, each of which `max-message` bounds.
  static let payloadBytesMin = 1_000_000
  /// Bytes of a poll's `t`, by which a repeated request is known; longer ones count for nothing. Official clients send some ten.
  static let tagBytesMax = 64
  /// Bytes of packets in one answer to a poll, unless one block alone has more: it may go through Redis.
  static let answerBytesMax = 64 * 1024
  /// Bytes that may wait for a client that polls before its requests are taken no further, as over a socket.
  static let answersBytesMax = 2 * 1024 * 1024
  /// Bytes in a queue below which more is made that can wait.
  static let roomBytes = 64 * 1024
  /// An upgrade that has begun must be complete by then (the official server's `upgradeTimeout`).
  static let upgrade = Interval.seconds(10)
  /// A connection that was closed while no poll waited answers one more poll until then.
  static let lastPoll = Interval.seconds(10)
  /// Bytes of an offset up to which every event carries one: some 30 rooms. Above it the last event of a batch does, or offsets
  /// would be most of what is sent.
  static let offsetBytesOfEach = 1024
  /// A conformance server's first event follows the answer to a connect after so long: the suite listens for one message at a
  /// time, and Node.js reports two that come in one segment before it listens for the second.
  static let conformanceEvent = Interval.milliseconds(5)

  /// Bytes of a polling request's body.
  let payloadBytesMax: Int
  /// Bytes of a message with its attachments.
  let messageBytesMax: Int
  let pingInterval: Interval
  let pingTimeout: Interval
  /// A connection must be connected to a namespace by then, from its beginning or from the moment it left its last one.
  let connect: Interval
  /// Whether it is a conformance server: it echoes, and answers as the protocol's test suites expect.
  let isConformance: Bool

  init(_ limits: ConnectionLimits) {
    isConformance = limits.isEchoEnabled
    // Binary bytes grow by a third in base64.
    payloadBytesMax = max(EngineLimits.payloadBytesMin, limits.messageBytesMax * 2)
    messageBytesMax = isConformance ? EngineLimits.payloadBytesMin : limits.messageBytesMax
    pingInterval = limits.pingInterval
    pingTimeout = limits.pingTimeout
    // The suite polls for 0.9 s before it connects.
    connect = isConformance ? .milliseconds(1200) : .seconds(45)
  }
}
