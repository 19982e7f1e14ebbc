import Randomness
import TestSupport

/// A user's client: keeps a connection, stays in its rooms, remembers where it is in each, publishes with ids, and
/// writes down everything. Does what a client should: comes back with its positions and repeats what was not acked.
final class Participant {
  /// How a client behaves.
  struct Habits {
    var rooms: [String]
    /// Milliseconds between publishes; nil: it only listens.
    var publishEvery: Int?
    /// Whether it gets its own messages too.
    var echo = true
    /// Milliseconds between leaving a room or the cluster and coming back; nil: it stays.
    var wanderEvery: Int?
  }

  enum RoomState: Equatable {
    case out
    /// Asked to join, at a time.
    case joining(Int)
    case present
    case leaving
  }

  let name: String
  let user: String
  let habits: Habits
  /// Whether it wanders and publishes still.
  var isCalm = false

  let chronicle: Chronicle
  var random: SeededGenerator
  var peer: Peer?
  private var isOpen = false
  private var openedAt = 0
  /// When it connects again.
  private var backAt = 0
  private var wanderAt = 0
  var rooms: [String: RoomState] = [:]
  /// The last place seen in each room.
  private(set) var places: [String: Place] = [:]
  private var askedSince: [String: Place] = [:]
  private var joinAgainAt: [String: Int] = [:]
  var published = 0
  var nextPublishAt = 0
  var outstanding: [String: Outstanding] = [:]

  init(_ name: String, user: String, _ habits: Habits, _ chronicle: Chronicle, seed: UInt64) {
    self.name = name
    self.user = user
    self.habits = habits
    self.chronicle = chronicle
    random = SeededGenerator(seed: seed)
    for room in habits.rooms { rooms[room] = .out }
    if let every = habits.wanderEvery { wanderAt = every }
  }

  var now: Int { chronicle.now }
  func note(_ fact: Fact) { chronicle.note(name, fact) }

  /// Whether it is in all its rooms and nothing of it waits for an ack.
  var isSettled: Bool {
    isOpen && habits.rooms.allSatisfy { rooms[$0] == .present } && outstanding.isEmpty
  }

  // MARK: Connection

  /// Loses the connection without a word and comes back soon.
  func cut(why: String) {
    guard let peer else { return }
    peer.cut()
    end(byServer: false, why)
  }

  private func end(byServer: Bool, _ why: String) {
    if isOpen { note(.closed(byServer: byServer, why: why)) }
    peer = nil
    isOpen = false
    for room in habits.rooms { rooms[room] = .out }
    joinAgainAt = [:]
    backAt = now + Int.random(in: 20...300, using: &random)
  }

  /// Does what is due. `ports`: the nodes that listen.
  func step(_ ports: [UInt16]) {
    if peer == nil, now >= backAt { connect(ports) }
    guard peer != nil else { return }
    // Nothing may be waited for without an end: a node that is stopped says nothing.
    if !isOpen, now > openedAt + 3000 { return cut(why: "no welcome") }
    guard isOpen else { return }
    for room in habits.rooms {
      if case .joining(let since) = rooms[room], now > since + 8000 { return cut(why: "no answer to a join") }
      if rooms[room] == .out, now >= joinAgainAt[room] ?? 0 { join(room) }
    }
    if !isCalm { wander() }
    publishAndRepeat()
  }

  private func connect(_ ports: [UInt16]) {
    guard let port = ports.randomElement(using: &random), let peer = try? Peer(port: port, user: user) else {
      backAt = now + 100
      return
    }
    self.peer = peer
    openedAt = now
  }

  private func join(_ room: String) {
    rooms[room] = .joining(now)
    askedSince[room] = places[room]
    let since = places[room].map { #","since":{"epoch":"\#($0.epoch)","offset":\#($0.offset)}"# } ?? ""
    note(.joining(room: room))
    peer?.send(#"{"type":"join","room":"\#(room)","id":"j-\#(room)"\#(since)}"#)
  }

  /// Leaves a room, or hangs up, now and then.
  private func wander() {
    guard let every = habits.wanderEvery, now >= wanderAt else { return }
    wanderAt = now + Int.random(in: (every / 2)...(every * 2), using: &random)
    guard Bool.random(using: &random), let room = habits.rooms.filter({ rooms[$0] == .present }).first else {
      return cut(why: "wanders")
    }
    rooms[room] = .leaving
    note(.leaving(room: room))
    // Whoever leaves does not claim to have been there.
    places[room] = nil
    peer?.send(#"{"type":"leave","room":"\#(room)"}"#)
  }

  // MARK: Receiving

  /// Takes what has come.
  func receive() {
    for arrival in peer?.receive() ?? [] {
      switch arrival {
      case .opened: break
      case .text(let text): take(text)
      case .ended(let why): return end(byServer: true, why)
      }
    }
  }

  private func take(_ text: Received) {
    // Between asking to leave and the answer a member neither misses nor gets anything that counts.
    if let room = text.string("room"), rooms[room] == .leaving, text.type != "left", text.type != "ack" { return }
    switch text.type {
    case "welcome":
      isOpen = true
      note(.opened(node: text.string("node") ?? "?"))
    case "joined": takeJoined(text)
    case "left": takeLeft(text)
    case "message": takeMessage(text)
    case "gap":
      guard let room = text.string("room"), let from = text.int("from"), let to = text.int("to") else { break }
      note(.gap(room: room, from: from, to: to))
      if let place = places[room] { places[room] = Place(epoch: place.epoch, offset: to) }
    case "user_joined", "user_left":
      guard let room = text.string("room"), let user = text.string("user") else { break }
      note(.notice(room: room, user: user, hasJoined: text.type == "user_joined"))
    case "ack": takeAck(text)
    case "error": takeError(text)
    case "degraded", "restored": note(.degraded(text.type == "degraded"))
    default: note(.nonsense("unexpected: \(text)"))
    }
  }

  private func takeJoined(_ text: Received) {
    guard let room = text.string("room"), let epoch = text.string("epoch"), let offset = text.int("offset") else {
      return note(.nonsense("no place: \(text)"))
    }
    let place = Place(epoch: epoch, offset: offset)
    let recovered = text["recovered"]?.asBool
    guard text.string("id") != nil else {
      let before = places.updateValue(place, forKey: room)
      if recovered == nil || before == nil { note(.nonsense("renewed, and not said how: \(text)")) }
      let isWhole = recovered == true
      return note(isWhole ? .continued(room: room, epoch: before?.epoch ?? "?", place) : .renewed(room: room, place))
    }
    if (recovered != nil) != (askedSince[room] != nil) { note(.nonsense("recovered, but not asked, or not: \(text)")) }
    note(.joined(room: room, place, since: askedSince[room], recovered: recovered))
    places[room] = Place(epoch: epoch, offset: recovered == true ? askedSince[room]?.offset ?? offset : offset)
    rooms[room] = .present
    repeatAll(in: room)
  }

  private func takeLeft(_ text: Received) {
    guard let room = text.string("room") else { return }
    note(.left(room: room))
    rooms[room] = .out
    joinAgainAt[room] = now + Int.random(in: 50...1500, using: &random)
  }

  private func takeMessage(_ text: Received) {
    guard let room = text.string("room"), let offset = text.int("offset"), let body = text.string("body"),
      let place = places[room]
    else { return note(.nonsense("a message out of place: \(text)")) }
    places[room] = Place(epoch: place.epoch, offset: offset)
    note(.message(room: room, Place(epoch: place.epoch, offset: offset), body: body))
  }

  private func takeError(_ text: Received) {
    note(.refused(code: text.string("code") ?? "?"))
    guard let id = text.string("id") else { return }
    if id.hasPrefix("j-") {
      let room = String(id.dropFirst(2))
      rooms[room] = .out
      joinAgainAt[room] = now + Int.random(in: 50...300, using: &random)
    } else if outstanding[id] != nil {
      outstanding[id]?.sendAt = now + Int.random(in: 50...300, using: &random)
      outstanding[id]?.sentAt = nil
    }
  }
}
