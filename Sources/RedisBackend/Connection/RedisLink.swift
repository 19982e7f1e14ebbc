import LoopCore
import Realtime
import TimeCore

/// One connection to a Redis, made again whenever it breaks.
///
/// Commands are gathered in one buffer and leave in one write per tick. A link is `open` after AUTH and SELECT; its
/// owner calls `confirm` when Redis has done something useful on it, which starts the backoff over.
/// Confined to the loop that created it.
final class RedisLink: EventHandler {
  enum Phase { case stopped, waiting, resolving, connecting, securing, greeting, open }

  /// Where a Redis is, or why that is not known.
  typealias Located = Result<RedisEndpoint, Unlocated>
  struct Unlocated: Error { let reason: String }

  var phase = Phase.stopped
  /// Commands written since the start.
  private(set) var commandsTotal: UInt64 = 0
  /// From a command to its reply, by the clock of the loop's ticks.
  private(set) var roundTrips = DurationHistogram(bounds: DurationHistogram.answerBounds)
  /// How often the link was opened after it had been open before.
  var reconnectsTotal: UInt64 = 0

  /// Called when commands may be sent.
  var opened: () -> Void = {}
  /// Called for every broken connection and failed attempt, before the pending commands fail.
  var closed: () -> Void = {}
  /// Called with replies to no command: pushes on a subscribed connection.
  var received: (Reply) -> Void = { _ in }

  /// Finds the endpoint before every attempt; the server must then be a master. Nil: `endpoint` stays.
  var locate: ((_ found: @escaping (Located) -> Void) -> Void)?
  /// Detects that this process was paused, where another master may have taken over since; nil: none can.
  var pauseDetector: PauseDetector?
  /// Where the link connects to, or was connected last.
  var endpoint: RedisEndpoint

  let loop: EventLoop
  let resolver: Resolver
  let configuration: RedisConfiguration
  let tlsContext: TLSClientContext?
  let name: String
  /// Whether it asks a sentinel or a node of a cluster for a master.
  let isDiscovery: Bool
  private let log: RedisBroker.Log
  private let receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: RedisLimits.receiveBytes, alignment: 8)
  private(set) lazy var handler = loop.attach(self)

  var descriptor: Int32 = -1
  /// Counts connection attempts: distinguishes events and timers of an earlier one.
  var generation: UInt64 = 0
  /// The connection's TLS, or nil when it is plain.
  var tls: TLSSession?
  /// Addresses of the host that were not tried yet.
  var untried: ArraySlice<Address> = []
  private var reader = ReplyReader()
  private var output = OutputBuffer()
  private var awaitsWritable = false
  private var pending = PendingReplies()
  private var liveness = Liveness()
  /// When something was received last, by the loop's clock in nanoseconds; 0: nothing was.
  private(set) var receivedAt: UInt64 = 0
  /// Whether something was asked whose answer comes to `received`.
  private var owesPush = false
  private var flushedAt: UInt64 = 0
  private var backoff = Backoff()
  private var generator = SystemRandomNumberGenerator()
  var wasOpen = false
  /// Why it failed last; empty once it works.
  private(set) var lastReason = ""
  /// What Redis refused last, and when in nanoseconds; nil once it works.
  private var lastRefusal: (what: RedisRefusal, at: UInt64)?
  /// Reasons logged since then: each once, for one failure may appear in several ways in turn.
  private var toldReasons: Set<String> = []

  /// - Parameters:
  ///   - tls: what to trust; nil: the connection is plain. A Unix socket is always plain.
  ///   - name: given to Redis with CLIENT SETNAME, so that an operator knows whose connection it is.
  init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext?,
    endpoint: RedisEndpoint, name: String, isDiscovery: Bool = false,
    log: @escaping RedisBroker.Log
  ) {
    self.isDiscovery = isDiscovery
    self.loop = loop
    self.resolver = resolver
    self.configuration = configuration
    self.endpoint = endpoint
    tlsContext = tls
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

  /// Gives the connection up, logs why once, and tries again after the backoff.
  func fail(_ reason: String) {
    guard phase != .stopped, phase != .waiting else { return }
    phase = .waiting
    noteRefusal(reason)
    if toldReasons.count < RedisLimits.toldReasonsMax, toldReasons.insert(reason).inserted {
      log(.warning, "Redis at \(endpoint): \(reason); trying again")
    }
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

  /// Notes that the connection works.
  func confirm() {
    backoff.reset()
    lastReason = ""
    lastRefusal = nil
    toldReasons = []
  }

  /// What Redis refused a moment ago, or nil: nothing, so that a failure has another reason.
  var refusal: RedisRefusal? {
    guard let lastRefusal, loop.now < lastRefusal.at + UInt64(RedisLimits.refusalMilliseconds) * 1_000_000 else {
      return nil
    }
    return lastRefusal.what
  }

  private func noteRefusal(_ text: String) { if let what = RedisRefusal(text) { lastRefusal = (what, loop.now) } }

  private func disconnect() {
    generation += 1
    tls = nil
    if descriptor >= 0 { Socket.close(descriptor) }
    descriptor = -1
    output = OutputBuffer()
    awaitsWritable = false
    owesPush = false
    liveness = Liveness()
    reader = ReplyReader()
    for handler in pending.takeAll() { handler(nil) }
  }

  // MARK: Commands

  /// Writes a command. `reply` gets the answer, or nil when the link is not open, is full, or dies first.
  func request(_ reply: @escaping PendingReplies.Handler, _ write: (inout CommandWriter) -> Void) {
    guard phase == .open, output.unsentCount < RedisLimits.outputBytesMax else { return reply(nil) }
    enqueue(reply, write)
  }

  /// Writes a command whose answer comes to `received`. For subscribers only: the other link's answers come in order.
  func send(_ write: (inout CommandWriter) -> Void) {
    guard phase == .open else { return }
    owesPush = true
    write(&output.writer)
    commandsTotal += 1
    wake()
  }

  /// Gives back the memory that a burst of commands took.
  func shrink() {
    if output.unsentCount == 0 { output = OutputBuffer() }
    if pending.isEmpty { pending = PendingReplies() }
  }

  /// Asks for a tick when this tick's write has been made already.
  func wake() {
    if flushedAt == loop.now { loop.tickAgain() }
  }

  func enqueue(_ reply: @escaping PendingReplies.Handler, _ write: (inout CommandWriter) -> Void) {
    write(&output.writer)
    pending.append(reply, at: loop.now)
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
    let tls = tls
    switch output.withUnsentBytes({ tls?.send($0) ?? Socket.send(descriptor, $0) }) {
    case .bytes(let count): output.sent(count)
    case .wouldBlock, .end: break
    case .failed(let code): return fail(failureText(code))
    }
    let hasRemainder = output.unsentCount > 0
    guard hasRemainder != awaitsWritable else { return }
    awaitsWritable = hasRemainder
    loop.change(descriptor, to: hasRemainder ? [.read, .write] : .read, handler: handler, token: generation)
  }

  // MARK: Events

  func ready(_ token: UInt64, _ readiness: Readiness) {
    guard token == generation & 0xFFFF_FFFF_FFFF, descriptor >= 0 else { return }
    if phase == .connecting || phase == .securing { return proceed() }
    guard phase != .open || pauseDetector?.wasPaused != true else { return failAfterPause() }
    if readiness.contains(.write) { transmit() }
    if generation & 0xFFFF_FFFF_FFFF == token, !readiness.isDisjoint(with: [.read, .hangUp]) { receive() }
  }

  /// Gives up a connection that was open while this process was paused.
  func failAfterPause() {
    guard phase == .open else { return }
    fail("process was suspended; reconnecting because a failover may have happened")
  }

  private func receive() {
    let generation = generation
    // OpenSSL may hold more than the socket shows, so what it has is read to the end.
    while receiveOnce(), tls != nil, self.generation == generation {}
  }

  /// Reads once. Returns whether there may be more.
  private func receiveOnce() -> Bool {
    switch tls?.receive(into: receiveBuffer) ?? Socket.receive(descriptor, into: receiveBuffer) {
    case .wouldBlock: return false
    case .end:
      noteEndOfGreeting()
      fail("Redis closed the connection")
    case .failed(let code): fail(failureText(code))
    case .bytes(let count):
      liveness.received()
      receivedAt = loop.now
      owesPush = false
      let generation = generation
      let wellFormed = reader.feed(UnsafeRawBufferPointer(rebasing: receiveBuffer[..<count])) { reply in
        take(reply)
        return self.generation == generation
      }
      if !wellFormed, self.generation == generation { fail("it does not speak the Redis protocol") }
      return true
    }
    return false
  }

  /// In TLS 1.3 a server refuses a certificate after the client's part of the handshake is done (RFC 8446 section 4.4.2.4).
  private func noteEndOfGreeting() {
    guard phase == .greeting, tls != nil else { return }
    tlsContext?.handshakeFailed(at: loop.now, atMostEvery: RedisLimits.tlsRereadMilliseconds)
  }

  private func failureText(_ code: Int32) -> String {
    noteEndOfGreeting()
    guard let tls, code == 0 else { return SystemError.text(code) }
    return RedisLink.complaint(about: tls.failure)
  }

  private func take(_ reply: Reply) {
    let command = pending.popFirst()
    if let command { roundTrips.observe(nanoseconds: loop.now &- command.writtenAt) }
    let handler = command?.handler
    if reply.isError, handler != nil, phase == .open { noteRefusal(reply.text) }
    if reply.isFatal {
      let advice =
        reply.begins(with: "NOAUTH") && isDiscovery && configuration.topology.hasSentinels
        ? "set --redis-sentinel-password, and --redis-sentinel-user where there is one"
        : RedisRefusal(reply.text)?.advice
      let text = reply.text + (advice.map { "; \($0)" } ?? "")
      // The outage is reported before the pending commands fail.
      fail(text)
      handler?(nil)
      return
    }
    if let handler { handler(reply) } else { received(reply) }
  }

  // MARK: Liveness

  func watch(_ generation: UInt64) {
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

  /// Asks a subscribed connection for a PONG, which `received` gets after the answers to all commands before.
  func ping() {
    send { writer in
      writer.command(parts: 1)
      writer.bulk("PING")
    }
  }
}

@available(*, unavailable)
extension RedisLink: Sendable {}
