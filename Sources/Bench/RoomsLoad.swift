import LoopCore

/// Publishes to rooms and counts what their members hear: `fanout` is one large room, `rooms` are many small ones.
///
/// Every room has a publisher of its own, which is no member that counts. Clients are numbered: members room by room,
/// then the publishers. By window, a message is in flight until the slowest member of its room has it, and the rooms
/// take turns. By rate, messages are sent when they are due, whatever is in flight.
final class RoomsLoad: Load {
  private enum Phase {
    case opening, probing, running, draining, done
  }

  private struct Room {
    var published: UInt32 = 0
    /// Every member has this message and those before it.
    var completed: UInt32 = 0
    /// Members that no probe has reached yet.
    var unprobed: Int
    var writer: StampWriter
  }

  /// Messages of one room whose receptions are counted at a time, at a fixed rate; beyond, the next one is held back.
  private static let inFlightMaxByRate = 4096
  /// Probes without an answer before the run is given up, and the time between two, in milliseconds.
  private static let probesMax = 50
  private static let probeMilliseconds = 200
  /// Without any delivery for so long, messages in flight are taken for lost, in nanoseconds.
  private static let stallNanoseconds: UInt64 = 2_000_000_000

  private let settings: BenchSettings
  private let loop: EventLoop
  private let roomCount: Int
  private let members: Int
  unowned var generator: Generator! {  // Set once, before the first client opens; it outlives every call.
    didSet { clients = generator.clients }
  }
  /// The generator's. Apart, for to go through the generator would count references at every delivery.
  private var clients: UnsafeMutablePointer<Client>!  // Safe because it is set with the generator.
  private var phase = Phase.opening
  private var rooms: [Room]
  /// For each room, how many members have each of the messages in flight: a ring indexed by sequence.
  private var receptions: [UInt32]
  private let ringMask: UInt32
  private var inFlight = 0
  private var nextRoom = 0
  private var unprobed: Int
  private var probes = 0
  private var stamps = StampReader()
  private var schedule: SendSchedule?
  private var lastDelivery: UInt64 = 0
  private(set) var check = SequenceCheck()
  private(set) var measurement = Measurement()

  init(_ settings: BenchSettings, loop: EventLoop) {
    self.settings = settings
    self.loop = loop
    let roomCount = settings.rooms
    let members = settings.membersPerRoom
    self.roomCount = roomCount
    self.members = members
    rooms = (0..<roomCount).map { room in
      Room(
        unprobed: members,
        writer: StampWriter(
          head: settings.dialect.messageHead(
            room: RoomsLoad.name(room), isOwnNamespace: settings.usesNamespaces),
          tail: settings.dialect.messageTail(isOwnNamespace: settings.usesNamespaces),
          messageBytes: settings.messageBytes))
    }
    let needed = settings.rate > 0 ? max(16, RoomsLoad.inFlightMaxByRate / roomCount) : settings.window
    var ringSize = 1
    while ringSize < needed { ringSize *= 2 }
    ringMask = UInt32(ringSize - 1)
    receptions = [UInt32](repeating: 0, count: ringSize * roomCount)
    unprobed = roomCount * members
  }

  var clientCount: Int { roomCount * (members + 1) }

  /// Names of one length: the stamp of every message then stands in the same place.
  private static func name(_ room: Int) -> String { "bench-\(1_000_000 + room)" }

  private func room(of client: Int) -> Int { isPublisher(client) ? client - roomCount * members : client / members }
  private func isPublisher(_ client: Int) -> Bool { client >= roomCount * members }

  func destination(of client: Int) -> (url: Destination, target: String) {
    let url = isPublisher(client) ? settings.publisherURL : settings.memberURL
    // One user: that each of them entered is not what is measured.
    return (url, settings.dialect.target(url, room: RoomsLoad.name(room(of: client)), user: "bench"))
  }

  // MARK: Opening and probing

  func opened(_ client: Int) {
    // Of roost, welcome and joined are awaited; of its Socket.IO, their packets.
    clients[client].awaited = settings.usesNamespaces ? 1 : settings.dialect.hasWelcome ? 2 : 0
    if !settings.dialect.hasWelcome { enter(client) }
  }

  private func enter(_ client: Int) {
    let name = RoomsLoad.name(room(of: client))
    if let join = settings.dialect.join(room: name) { generator.send(text: join, on: client) }
    if clients[client].awaited == 0 { generator.ready(client: client) }
  }

  private func takeAnswer(_ client: Int, _ message: Span<UInt8>) {
    if settings.dialect == .socketio, !isAwaited(message, by: client) { return }
    clients[client].awaited -= 1
    if clients[client].awaited == 1 { enter(client) } else { generator.ready(client: client) }
  }

  /// Answers what Socket.IO wants an answer to. Returns whether the packet says that a client has come one step further.
  private func isAwaited(_ packet: Span<UInt8>, by client: Int) -> Bool {
    guard let answer = SocketIOAnswer(packet) else { return false }
    let namespace = settings.usesNamespaces ? RoomsLoad.name(room(of: client)) : nil
    guard let reply = answer.reply(user: "bench", namespace: namespace) else { return true }
    generator.send(text: reply, on: client)
    return false
  }

  /// Only a message that came through proves that a member is in its room, whatever the server answers to a join.
  func begin() {
    phase = .probing
    generator.moveTogether()
    probe()
  }

  private func probe() {
    guard phase == .probing else { return }
    probes += 1
    guard probes <= RoomsLoad.probesMax else {
      return generator.fail(
        "\(unprobed) of \(roomCount * members) members received nothing: if the node asks for tokens, give one by --url "
          + "ws://HOST/ws?token=JWT")
    }
    for room in 0..<roomCount where rooms[room].unprobed > 0 { write(Stamp(sequence: 0, time: 1), to: room) }
    loop.after(milliseconds: RoomsLoad.probeMilliseconds) { [weak self] in self?.probe() }
  }

  private func takeProbe(_ client: Int) {
    guard clients[client].expected == 0 else { return }
    clients[client].expected = 1
    rooms[room(of: client)].unprobed -= 1
    unprobed -= 1
    guard unprobed == 0 else { return }
    // Answers to probes that were repeated may still be on their way: they have the number 0 and are ignored.
    phase = .running
    lastDelivery = Clock.monotonicNanoseconds()
    if settings.rate > 0 {
      do {
        schedule = try SendSchedule(loop, rate: settings.rate)
      } catch {
        return generator.fail("\(error)")
      }
    }
    watchForStalls()
    loop.after(milliseconds: settings.warmUpMilliseconds) { [weak self] in self?.startMeasuring() }
  }

  // MARK: Running

  private func startMeasuring() {
    measurement.start(settings)
    loop.after(milliseconds: settings.seconds * 1000) { [weak self] in self?.stopPublishing() }
  }

  private func stopPublishing() {
    measurement.end(settings)
    phase = .draining
  }

  func received(_ client: Int, _ message: Span<UInt8>, at now: UInt64) {
    if clients[client].awaited > 0 { return takeAnswer(client, message) }
    guard !isPublisher(client), let stamp = stamps.read(message) else {
      if settings.dialect == .socketio { _ = isAwaited(message, by: client) }
      return
    }
    guard stamp.sequence > 0 else { return takeProbe(client) }
    let room = room(of: client)
    if stamp.sequence == clients[client].expected {
      clients[client].expected += 1
    } else {
      check.take(stamp.sequence, expected: &clients[client].expected, member: client)
    }
    measurement.count(begunAt: stamp.time, endedAt: now)
    lastDelivery = now
    guard stamp.sequence > rooms[room].completed else { return }
    let slot = slot(room, stamp.sequence)
    receptions[slot] += 1
    if receptions[slot] >= members { complete(room) }
  }

  private func slot(_ room: Int, _ sequence: UInt32) -> Int {
    room * Int(ringMask + 1) + Int(sequence & ringMask)
  }

  private func complete(_ room: Int) {
    while rooms[room].completed < rooms[room].published,
      receptions[slot(room, rooms[room].completed + 1)] >= members
    {
      rooms[room].completed += 1
      inFlight -= 1
    }
  }

  func tickEnded() {
    if phase == .draining, inFlight == 0 { return finishSoon() }
    guard phase == .running else { return }
    if let schedule {
      publishDue(schedule)
    } else {
      while inFlight < settings.window { publish(at: Clock.monotonicNanoseconds()) }
    }
  }

  private func publishDue(_ schedule: SendSchedule) {
    let now = Clock.monotonicNanoseconds()
    // A message that cannot be counted yet keeps its time: the next delivery comes back here.
    while rooms[nextRoom].published - rooms[nextRoom].completed <= ringMask, let due = schedule.takeDue(at: now) {
      publish(at: due)
    }
  }

  private func publish(at time: UInt64) {
    let room = nextRoom
    nextRoom = room + 1 == roomCount ? 0 : room + 1
    rooms[room].published += 1
    receptions[slot(room, rooms[room].published)] = 0
    inFlight += 1
    write(Stamp(sequence: rooms[room].published, time: time), to: room)
  }

  private func write(_ stamp: Stamp, to room: Int) {
    rooms[room].writer.write(stamp) { generator.send(.text, $0, on: roomCount * members + room) }
  }

  // MARK: Ending

  /// A lost message would be in flight for ever, and with it the run.
  private func watchForStalls() {
    loop.after(milliseconds: 500) { [weak self] in
      guard let self, self.phase != .done else { return }
      self.giveUpStalled()
      self.watchForStalls()
    }
  }

  private func giveUpStalled() {
    guard inFlight > 0, Clock.monotonicNanoseconds() > lastDelivery + RoomsLoad.stallNanoseconds else { return }
    for room in 0..<roomCount { rooms[room].completed = rooms[room].published }
    inFlight = 0
    lastDelivery = Clock.monotonicNanoseconds()
  }

  /// What comes twice may come late.
  private func finishSoon() {
    phase = .done
    loop.after(milliseconds: 100) { [weak self] in
      guard let self else { return }
      for client in 0..<(self.roomCount * self.members) {
        let published = self.rooms[self.room(of: client)].published
        self.check.end(published: published, expected: self.clients[client].expected)
      }
      self.loop.stop()
    }
  }

  func closed(_ client: Int) {}
}
