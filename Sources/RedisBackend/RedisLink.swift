import LoopCore
import Realtime

/// One connection to a Redis, made again whenever it breaks.
///
/// Commands are gathered in one buffer and leave in one write per tick. A link is `open` after AUTH and SELECT; its
/// owner calls `confirm` when Redis has done something useful on it, which starts the backoff over.
/// Confined to the loop that created it.
final class RedisLink: EventHandler {
  enum Phase { case stopped, waiting, resolving, connecting, greeting, open }

  private(set) var phase = Phase.stopped
  /// Commands written since the start.
  private(set) var commandsTotal: UInt64 = 0
  /// How often the link was opened after it had been open before.
  private(set) var reconnectsTotal: UInt64 = 0

  /// Told when commands may be sent.
  var opened: () -> Void = {}
  /// Told of every broken connection and failed attempt, before the pending commands fail.
  var closed: () -> Void = {}
  /// Given what answers no command: pushes on a subscribed connection.
  var received: (Reply) -> Void = { _ in }

  private let loop: EventLoop
  private let resolver: Resolver
  private let configuration: RedisConfiguration
  private let name: String
  private let log: RedisBroker.Log
  private let receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: RedisLimits.receiveBytes, alignment: 8)
  private lazy var handler = loop.attach(self)

  private var descriptor: Int32 = -1
  /// Counts connection attempts: events and timers of an earlier one are told by it.
  private var generation: UInt64 = 0
  private var reader = ReplyReader()
  private var output = OutputBuffer()
  private var awaitsWritable = false
  private var pending = PendingReplies()
  private var liveness = Liveness()
  /// Whether something was asked whose answer comes to `received`.
  private var owesPush = false
  private var flushedAt: UInt64 = 0
  private var backoff = Backoff()
  private var generator = SystemRandomNumberGenerator()
  private var wasOpen = false
  private var lastReason = ""

  /// - Parameters:
  ///   - name: given to Redis with CLIENT SETNAME, so that an operator knows whose connection it is.
  init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, name: String, log: @escaping RedisBroker.Log
  ) {
    self.loop = loop
    self.resolver = resolver
    self.configuration = configuration
    self.name = name
    self.log = log
  }

  deinit { receiveBuffer.deallocate() }

  // MARK: Life

  func start() {
    guard phase == .stopped else { return }
    connect()
  }

  /// Closes for good. Pending commands fail.
  func stop() {
    guard phase != .stopped else { return }
    phase = .stopped
    disconnect()
  }

  /// Gives the connection up, tells why once, and tries again after the backoff.
  func fail(_ reason: String) {
    guard phase != .stopped, phase != .waiting else { return }
    phase = .waiting
    if reason != lastReason { log(.warning, "Redis at \(configuration.endpoint): \(reason); trying again") }
    lastReason = reason
    let wait = backoff.next(using: &generator)
    closed()
    disconnect()
    let generation = generation
    loop.after(milliseconds: wait) { [weak self] in
      guard let self, self.generation == generation, phase == .waiting else { return }
      connect()
    }
  }

  /// Tells that the connection has proved itself.
  func confirm() {
    backoff.reset()
    lastReason = ""
  }

  private func disconnect() {
    generation += 1
    if descriptor >= 0 { Socket.close(descriptor) }
    descriptor = -1
    output = OutputBuffer()
    awaitsWritable = false
    owesPush = false
    liveness = Liveness()
    reader = ReplyReader()
    for handler in pending.takeAll() { handler(nil) }
  }

  // MARK: Connecting

  private func connect() {
    generation += 1
    phase = .resolving
    let generation = generation
    switch configuration.endpoint {
    case .unix(let path):
      guard let address = Address(unixPath: path) else { return fail("the socket's path is too long") }
      attempt([address][...])
    case .tcp(let host, let port):
      resolver.resolve(host, port: port) { [weak self] addresses in
        guard let self, self.generation == generation, phase == .resolving else { return }
        guard let addresses, !addresses.isEmpty else { return fail("the host name is unknown") }
        attempt(addresses[...])
      }
    }
  }

  private var untried: ArraySlice<Address> = []

  private func attempt(_ addresses: ArraySlice<Address>) {
    guard let address = addresses.first else { return fail("no address") }
    untried = addresses.dropFirst()
    generation += 1
    phase = .connecting
    do {
      descriptor = try Socket.connect(to: address)
      try loop.watch(descriptor, for: .write, handler: handler, token: generation)
    } catch {
      return attemptFailed(error.description)
    }
    let generation = generation
    loop.after(milliseconds: RedisLimits.connectMilliseconds) { [weak self] in
      guard let self, self.generation == generation, phase == .connecting else { return }
      attemptFailed("no connection within \(RedisLimits.connectMilliseconds) ms")
    }
  }

  private func attemptFailed(_ reason: String) {
    guard !untried.isEmpty else { return fail(reason) }
    if descriptor >= 0 { Socket.close(descriptor) }
    descriptor = -1
    attempt(untried)
  }

  private func connected() {
    loop.change(descriptor, to: .read, handler: handler, token: generation)
    phase = .greeting
    watch(generation)
    if let password = configuration.password {
      enqueue({ [weak self] in self?.greeted($0, "AUTH") }) { writer in
        writer.command(parts: configuration.user == nil ? 2 : 3)
        writer.bulk("AUTH")
        if let user = configuration.user { writer.bulk(Array(user.utf8)) }
        writer.bulk(Array(password.utf8))
      }
    }
    if configuration.database != 0 {
      enqueue({ [weak self] in self?.greeted($0, "SELECT") }) { writer in
        writer.command(parts: 2)
        writer.bulk("SELECT")
        writer.bulk(configuration.database)
      }
    }
    // A Redis that does not let us name the connection serves all the same: any answer will do.
    enqueue({ [weak self] reply in if reply != nil { self?.finishGreeting() } }) { writer in
      writer.command(parts: 3)
      writer.bulk("CLIENT")
      writer.bulk("SETNAME")
      writer.bulk(Array(name.utf8))
    }
  }

  private func greeted(_ reply: Reply?, _ command: String) {
    if let reply, reply.isError { fail("\(command) was refused: \(reply.text)") }
  }

  private func finishGreeting() {
    guard phase == .greeting else { return }
    phase = .open
    if wasOpen { reconnectsTotal += 1 }
    wasOpen = true
    opened()
  }

  // MARK: Commands

  /// Writes a command. `reply` gets the answer, or nil when the link is not open, is full, or dies first.
  func request(_ reply: @escaping PendingReplies.Handler, _ write: (inout CommandWriter) -> Void) {
    guard phase == .open, output.unsentCount < RedisLimits.outputBytesMax else { return reply(nil) }
    enqueue(reply, write)
  }

  /// Writes a command whose answer comes to `received`. For subscribers only: the other link's answers come in order.
  func tell(_ write: (inout CommandWriter) -> Void) {
    guard phase == .open else { return }
    owesPush = true
    write(&output.writer)
    commandsTotal += 1
    wake()
  }

  /// Asks for a tick when this tick's write has been made already.
  func wake() {
    if flushedAt == loop.now { loop.tickAgain() }
  }

  private func enqueue(_ reply: @escaping PendingReplies.Handler, _ write: (inout CommandWriter) -> Void) {
    write(&output.writer)
    pending.append(reply)
    commandsTotal += 1
    wake()
  }

  /// Sends what this tick has gathered. Called by the owner at the end of the tick.
  func flush() {
    flushedAt = loop.now
    guard !awaitsWritable, output.unsentCount > 0 else { return }
    transmit()
  }

  private func transmit() {
    switch output.withUnsentBytes({ Socket.send(descriptor, $0) }) {
    case .bytes(let count): output.sent(count)
    case .wouldBlock, .end: break
    case .failed(let code): return fail(SystemError.text(code))
    }
    let hasRemainder = output.unsentCount > 0
    guard hasRemainder != awaitsWritable else { return }
    awaitsWritable = hasRemainder
    loop.change(descriptor, to: hasRemainder ? [.read, .write] : .read, handler: handler, token: generation)
  }

  // MARK: Events

  func ready(_ token: UInt64, _ readiness: Readiness) {
    guard token == generation & 0xFFFF_FFFF_FFFF, descriptor >= 0 else { return }
    if phase == .connecting {
      let code = Socket.pendingError(descriptor)
      return code == 0 ? connected() : attemptFailed(SystemError.text(code))
    }
    if readiness.contains(.write) { transmit() }
    if generation & 0xFFFF_FFFF_FFFF == token, !readiness.isDisjoint(with: [.read, .hangUp]) { receive() }
  }

  private func receive() {
    switch Socket.receive(descriptor, into: receiveBuffer) {
    case .wouldBlock: return
    case .end: return fail("Redis closed the connection")
    case .failed(let code): return fail(SystemError.text(code))
    case .bytes(let count):
      liveness.heard()
      owesPush = false
      let generation = generation
      let wellFormed = reader.feed(UnsafeRawBufferPointer(rebasing: receiveBuffer[..<count])) { reply in
        take(reply)
        return self.generation == generation
      }
      if !wellFormed, self.generation == generation { fail("what it says is not the Redis protocol") }
    }
  }

  private func take(_ reply: Reply) {
    let handler = pending.popFirst()
    if reply.isFatal {
      let text = reply.text
      handler?(nil)
      return fail(text)
    }
    if let handler { handler(reply) } else { received(reply) }
  }

  // MARK: Liveness

  private func watch(_ generation: UInt64) {
    loop.after(milliseconds: RedisLimits.watchMilliseconds) { [weak self] in
      guard let self, self.generation == generation else { return }
      checkLiveness()
      if self.generation == generation { watch(generation) }
    }
  }

  private func checkLiveness() {
    switch liveness.look(owes: !pending.isEmpty || owesPush) {
    case .alive: break
    case .dead: fail("no answer for \(RedisLimits.silenceMilliseconds) ms")
    }
  }

  /// Asks a subscribed connection for a PONG, which `received` gets behind all that was asked before.
  func ping() {
    tell { writer in
      writer.command(parts: 1)
      writer.bulk("PING")
    }
  }
}

@available(*, unavailable)
extension RedisLink: Sendable {}
