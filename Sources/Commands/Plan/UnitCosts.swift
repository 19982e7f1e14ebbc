import Settings

/// What one thing costs on one core of the machine that docs/benchmarks.md describes. docs/capacity.md says where each is from.
struct UnitCosts: Equatable, Sendable {
  /// Node CPU of one delivery to one connection, in microseconds, with one message in flight: the unfavourable case.
  var deliveryMicroseconds = 5.5
  /// Node CPU of taking a publish from a client and giving it to Redis, in microseconds.
  var publishMicroseconds = 20.0
  /// Node CPU of taking a message from Redis, once for each node with members, in microseconds.
  var receiptMicroseconds = 15.0
  /// Node CPU of a connect and its end, in microseconds, without TLS.
  var handshakeMicroseconds = 67.0
  /// Node CPU of a join and its leave, in microseconds. Assumed.
  var joinMicroseconds = 40.0
  /// Node CPU of a ping and its pong, in microseconds. Assumed: a delivery and an operation.
  var pingMicroseconds = 10.0
  /// Seconds between two pings of a connection: the default of `ping-interval`.
  var pingSeconds = 25.0

  /// WebSocket handshakes a second that a worker answers public clients: the default of `handshake-rate`.
  var handshakesPerSecond = Double(DefaultPeerLimits.handshakesPerSecond)
  /// Seconds at most that `roost.js` waits at random before its first attempt.
  var clientWaitSeconds = 0.5

  /// Redis CPU of a publish, in microseconds, and of each node that receives it.
  var redisPublishMicroseconds = 10.0
  var redisCopyMicroseconds = 3.0
  /// Redis CPU of a join and of its leave, in microseconds, in rooms of five.
  var redisJoinMicroseconds = 26.0

  /// Node memory of an idle connection with a user and two rooms, in bytes; of the kernel's socket; of each further membership.
  var connectionBytes = 1_004.0
  /// Node memory of a worker without connections, in bytes: most of it libraries.
  var workerBytes = 23.0 * 1_048_576
  var socketBytes = 5_100.0
  var membershipBytes = 64.0
  /// Node memory of a room with members on the node, in bytes. Assumed.
  var roomBytes = 1_024.0

  /// Redis memory of a room, of a member's entry, and beside each message kept, in bytes. Assumed.
  var redisRoomBytes = 600.0
  var redisMemberBytes = 300.0
  var redisMessageBytes = 160.0
  /// What a delivery has beside the message's own bytes: user, offset, time, frame, TCP and IP.
  var deliveryOverheadBytes = 120.0

  /// Shares of a core, of a memory and of a network that a plan fills at most: the rest is for bursts and for reconnects.
  var coreShare = 0.6
  var memoryShare = 0.6
  var networkShare = 0.6
}
