import LoopCore
import Realtime

/// Sends every command to the master that holds its key, and follows the redirections of a cluster.
///
/// While a slot moves, its commands go one at a time, in their order: what was sent elsewhere, or is to be tried again, keeps
/// those after it waiting. Confined to the loop that created it.
final class CommandRouter {
  private struct Command {
    var bytes: [UInt8]
    /// Where its master tag stands, if it has one.
    let masterTagStart: Int?
    let slot: Int
    /// Counts commands: those of a slot are sent in its order.
    let number: UInt64
    let reply: PendingReplies.Handler
    /// Nanoseconds beyond which it is given up; nil until it has to wait.
    var deadline: UInt64?
    /// The master to ask once, instead of the one that holds the slot.
    var asked: RedisEndpoint?
  }

  /// The commands of a slot that moves.
  private struct Queue {
    /// In the order of their numbers.
    var commands: [Command] = []
    /// The one on its way, which all others wait for.
    var sent: UInt64?
  }

  private let loop: EventLoop
  private let shards: ShardMap
  private var queues: [Int: Queue] = [:]
  private var waitingBytes = 0
  private var commandCount: UInt64 = 0
  private var isTimerSet = false
  /// Called before a command is sent: what was gathered goes first.
  var willSend: () -> Void = {}
  /// Called when the map is out of date.
  var mapIsStale: () -> Void = {}

  init(loop: EventLoop, shards: ShardMap) {
    self.loop = loop
    self.shards = shards
  }

  /// Sends a command. `reply` gets the answer, or nil when no master in reach holds its key, or the link is full or dies first.
  ///
  /// - Parameter isGathered: whether it may overtake what batches have gathered, or carries it.
  func request(
    isGathered: Bool = false, _ reply: @escaping PendingReplies.Handler, _ write: (inout CommandWriter) -> Void
  ) {
    if !isGathered { willSend() }
    guard shards.isSharded else {
      guard let shard = shards.current.first else { return reply(nil) }
      return shard.commands.request(reply, write)
    }
    var writer = CommandWriter()
    write(&writer)
    guard let slot = HashSlot.ofCommand(writer.bytes) else { return reply(nil) }
    commandCount += 1
    let command = Command(
      bytes: writer.bytes, masterTagStart: writer.masterTagStart, slot: slot, number: commandCount, reply: reply,
      deadline: nil,
      asked: nil)
    if queues[slot] == nil { send(command) } else { wait(command) }
  }

  /// The master tag of the master that holds a key; empty without a cluster.
  func masterTag(of key: @autoclosure () -> [UInt8]) -> [UInt8] {
    shards.isSharded ? shards.shard(of: key())?.masterTag ?? [] : []
  }

  /// Fails everything that waits.
  func stop() {
    let commands = queues.values.flatMap(\.commands)
    queues = [:]
    waitingBytes = 0
    for command in commands { command.reply(nil) }
  }

  private func send(_ command: Command) {
    let shard = command.asked.flatMap { shards.shard(at: $0) } ?? shards.shard(ofSlot: command.slot)
    guard let shard, shard.commands.phase == .open, command.deadline == nil || mayTake(command, shard) else {
      // A master that a slot has just moved to needs a moment to be connected to.
      guard let deadline = command.deadline, loop.now < deadline else { return finish(command, nil) }
      return wait(command)
    }
    if command.asked != nil {
      shard.commands.request({ _ in }) { writer in
        writer.command(parts: 1)
        writer.bulk("ASKING")
      }
    }
    var command = command
    if let start = command.masterTagStart, shard.masterTag.count == MasterTag.length {
      // It may have been written for another master.
      command.bytes.replaceSubrange(start..<(start + MasterTag.length), with: shard.masterTag)
    }
    let endpoint = shard.commands.endpoint
    shard.commands.request({ [weak self, command] in self?.answered(command, endpoint, $0) }) {
      $0.bytes.append(contentsOf: command.bytes)
    }
  }

  /// Whether a redirected command may be sent to a master now.
  private func mayTake(_ command: Command, _ shard: Shard) -> Bool {
    shard.isServing && (command.masterTagStart == nil || (!shard.isPublishFrozen && !shard.isUnmapped))
  }

  private func answered(_ command: Command, _ endpoint: RedisEndpoint, _ reply: Reply?) {
    guard let reply, let redirect = Redirect(reply, askedOf: endpoint) else { return finish(command, reply) }
    var command = command
    command.asked = nil
    switch redirect {
    case .moved(let slot, let endpoint):
      shards.move(slot: slot, to: endpoint)
      mapIsStale()
    case .ask(let endpoint):
      _ = shards.visit(endpoint)
      command.asked = endpoint
    case .later: mapIsStale()
    }
    if let deadline = command.deadline, loop.now >= deadline { return finish(command, reply) }
    wait(command)
  }

  private func finish(_ command: Command, _ reply: Reply?) {
    command.reply(reply)
    guard queues[command.slot]?.sent == command.number else { return }
    queues[command.slot]?.sent = nil
    sendNext(of: command.slot)
  }

  /// Puts a command where its number belongs.
  private func wait(_ command: Command) {
    var command = command
    command.deadline = command.deadline ?? loop.now + UInt64(RedisLimits.redirectMilliseconds) * 1_000_000
    var queue = queues[command.slot] ?? Queue()
    if queue.sent == command.number { queue.sent = nil }
    guard waitingBytes + command.bytes.count <= RedisLimits.outputBytesMax else {
      queues[command.slot] = queue
      return command.reply(nil)
    }
    waitingBytes += command.bytes.count
    let index = queue.commands.lastIndex { $0.number < command.number }.map { $0 + 1 } ?? 0
    queue.commands.insert(command, at: index)
    queues[command.slot] = queue
    guard !isTimerSet else { return }
    isTimerSet = true
    loop.after(milliseconds: RedisLimits.redirectPauseMilliseconds) { [weak self] in self?.resume() }
  }

  private func resume() {
    isTimerSet = false
    for slot in Array(queues.keys) where queues[slot]?.sent == nil { sendNext(of: slot) }
  }

  /// Sends a slot's oldest command; without one the slot has settled.
  private func sendNext(of slot: Int) {
    guard let queue = queues[slot] else { return }
    guard let command = queue.commands.first else {
      queues[slot] = nil
      return
    }
    queues[slot]?.commands.removeFirst()
    queues[slot]?.sent = command.number
    waitingBytes -= command.bytes.count
    send(command)
  }
}

@available(*, unavailable)
extension CommandRouter: Sendable {}
