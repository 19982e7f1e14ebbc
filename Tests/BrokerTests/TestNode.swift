import ClientProtocol
import LoopCore
import Realtime
import Testing

@testable import RedisBackend

/// What a listener heard, in order.
final class Recorder: BrokerListener {
  var messages: [(room: String, position: Position, envelope: String)] = []
  var notices: [(room: String, kind: Envelope.Kind?, user: String, body: String)] = []
  var direct: [(user: String, envelope: String)] = []
  var everyone: [String] = []
  var lost = 0
  var restored = 0
  var cuts = 0
  /// Rooms whose mention in `brokerRestored` is noted in `compared`.
  var watched: [String] = []
  var compared: [String] = []
  var presenceLosses = 0
  var onPresenceLost: () -> Void = {}
  var onNotice: () -> Void = {}

  func received(room: Span<UInt8>, at position: Position, envelope: Span<UInt8>) {
    messages.append((text(room), position, text(envelope)))
  }
  func received(room: Span<UInt8>, notice: Span<UInt8>) {
    let parsed = Envelope(notice)
    let parts = parsed.map { (text(notice.extracting($0.user)), text(notice.extracting($0.body))) } ?? ("", "")
    notices.append((text(room), parsed?.kind, parts.0, parts.1))
    onNotice()
  }
  func received(user: Span<UInt8>, envelope: Span<UInt8>) -> Int {
    direct.append((text(user), text(envelope)))
    return .max
  }
  func receivedByEveryone(envelope: Span<UInt8>) { everyone.append(text(envelope)) }
  /// Questions that came, and what answers them.
  var questions: [(node: String, text: String)] = []
  var onQuestion: ([UInt8], @escaping ([UInt8]) -> Void) -> Void = { _, _ in }
  func received(question: Span<UInt8>, from node: [UInt8], _ answer: @escaping ([UInt8]) -> Void) {
    questions.append((String(decoding: node, as: UTF8.self), text(question)))
    onQuestion([UInt8](copying: question), answer)
  }
  func brokerLost() { lost += 1 }
  func subscriptionsLost(where isAffected: RoomFilter?) { cuts += 1 }
  func brokerRestored(where isAffected: RoomFilter?) {
    restored += 1
    for room in watched where isAffected?(bytes(room)) ?? true { compared.append(room) }
  }
  /// Told when rooms are to be compared.
  var onDoubt: () -> Void = {}
  func roomsUnverified(where isAffected: RoomFilter?) { onDoubt() }
  func presenceLost() {
    presenceLosses += 1
    onPresenceLost()
  }
  /// Names of connections that have gone, and rooms that all have left: all others are here.
  var gone: Set<String> = []
  var roomsLeft: Set<String> = []
  func isHere(_ connection: Span<UInt8>, in room: [UInt8]?) -> Bool {
    !gone.contains(text(connection)) && !(room.map { roomsLeft.contains(String(decoding: $0, as: UTF8.self)) } ?? false)
  }
  private(set) var graces: [String: Int] = [:]
  func graceBegan(in room: [UInt8], milliseconds: Int) {
    graces[String(decoding: room, as: UTF8.self)] = milliseconds
  }
  func nodeReport() -> [UInt8] { bytes(#"{"rooms":1}"#) }

  func notices(_ kind: Envelope.Kind) -> [String] { notices.filter { $0.kind == kind }.map(\.user) }

  private func text(_ span: Span<UInt8>) -> String { String(decoding: span.indices.map { span[$0] }, as: UTF8.self) }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A broker with a loop of its own, which moves only while a test drives it.
final class TestNode {
  let id: String
  let broker: any Broker
  let heard = Recorder()
  let loop: EventLoop
  var log: [String] { lines.all }
  private let resolver: Resolver
  /// Kept running as long as the node.
  private let server: RedisServer?
  private let lines = Lines()

  private final class Lines { var all: [String] = [] }

  init(_ id: String, embedded: Void, historySize: Int = 100, rules: RoomRules = RoomRules()) throws {
    self.id = id
    server = nil
    loop = try EventLoop()
    resolver = try Resolver(loop)
    broker = EmbeddedBroker(
      nodeID: bytes(id), historySize: historySize, historyMilliseconds: 300_000, rules: rules,
      clock: Clock.wallMilliseconds)
    broker.listener = heard
    broker.start()
  }

  init(
    _ id: String, on server: RedisServer?, tls: TLSClientContext? = nil,
    _ change: (inout RedisConfiguration) -> Void = { _ in }
  ) throws {
    self.id = id
    self.server = server
    loop = try EventLoop()
    resolver = try Resolver(loop)
    var configuration = RedisConfiguration(topology: .single(.tcp(host: "127.0.0.1", port: server?.port ?? 0)))
    change(&configuration)
    let lines = lines
    broker = RedisBroker(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls, nodeID: bytes(id)
    ) { lines.all.append($1) }
    broker.listener = heard
    broker.start()
  }

  deinit { redis?.abandon() }

  var redis: RedisBroker? { broker as? RedisBroker }
  var isUp: Bool { redis?.isUp ?? true }

  func member(_ user: String, _ handle: Int = 1, info: String? = nil) -> Member {
    Member(
      name: bytes("\(id)-\(user.utf8.map(String.init).joined(separator: "_"))x\(handle)"), node: bytes(id),
      user: bytes(user), transport: .websocket,
      address: bytes("127.0.0.1"), since: 1_700_000_000_000, info: info.map(bytes))
  }
}

/// Ticks the nodes until a condition holds. Returns whether it did in time.
@discardableResult
func drive(_ nodes: [TestNode], within seconds: Double = 5, until condition: () -> Bool) -> Bool {
  let deadline = Clock.monotonicNanoseconds() + UInt64(seconds * 1e9)
  while !condition() {
    guard Clock.monotonicNanoseconds() < deadline else { return false }
    for node in nodes { node.loop.tick(waitMillisecondsMax: 1) }
  }
  return true
}

/// Makes a call and drives the nodes until it is answered.
func ask<Value>(_ nodes: [TestNode], _ call: (@escaping BrokerReply<Value>) -> Void) throws -> Value {
  var answer: Result<Value, BrokerError>?
  call { answer = $0 }
  try #require(drive(nodes, within: 8) { answer != nil }, "no answer")
  return try #require(answer).get()
}

extension TestNode {
  func publish(_ text: String, in room: String = "r", dedupe: String? = nil) throws -> Position {
    try ask([self]) {
      broker.publish(RoomMessage(room: bytes(room), envelope: bytes(text), dedupe: dedupe.map(bytes)), $0)
    }
  }
  func subscribe(_ room: String = "r") throws { try ask([self]) { broker.subscribe(room: bytes(room), $0) } as Void }
  func position(_ room: String = "r") throws -> Position { try ask([self]) { broker.position(room: bytes(room), $0) } }
  func history(_ query: HistoryQuery, _ room: String = "r") throws -> HistoryPage {
    try ask([self]) { broker.history(room: bytes(room), query, bytesMax: .max, $0) }
  }
  func enter(_ member: Member, _ room: String = "r") throws -> Position {
    try ask([self]) { broker.enter(room: bytes(room), member, $0) }
  }
  func countAfterEntering(_ member: Member, _ room: String = "r") throws -> Int {
    _ = try enter(member, room)
    return try page(room: room).userCount
  }
  func leave(_ member: Member, _ room: String = "r", grace: Int) {
    broker.leave(room: bytes(room), member, graceMilliseconds: grace)
  }
  func page(room: String = "r", after cursor: MemberCursor? = nil, limit: Int = Limits.memberPageMax) throws
    -> MemberPage
  {
    try ask([self]) { broker.members(room: bytes(room), after: cursor, limit: limit, $0) }
  }
  /// The members of a room that one page holds.
  func members(_ room: String = "r") throws -> [Member] { try page(room: room).members }
  func userPage(_ room: String = "r", from cursor: [UInt8]? = nil) throws -> UserPage {
    try ask([self]) { broker.users(room: bytes(room), from: cursor, $0) }
  }
  /// All users of a room.
  func userNames(_ room: String = "r") throws -> Set<String> {
    var names: Set<String> = []
    var cursor: [UInt8]?
    repeat {
      let page = try userPage(room, from: cursor)
      names.formUnion(page.users.map { String(decoding: $0, as: UTF8.self) })
      cursor = page.next
    } while cursor != nil
    return names
  }
  func endGraces(_ room: String = "r") throws -> Int? { try ask([self]) { broker.endGraces(room: bytes(room), $0) } }
  func say(_ state: String?, _ member: Member, _ room: String = "r", isAssertion: Bool = false) throws {
    try ask([self]) {
      broker.setState(room: bytes(room), member, state.map { bytes($0) }, isAssertion: isAssertion, $0)
    }
  }
  func send(_ text: String, to audience: Audience) throws -> Int {
    try ask([self]) { broker.send(bytes(text), to: audience, $0) }
  }
  func rooms(prefix: String = "", after cursor: [UInt8]? = nil, limit: Int = 100) throws -> RoomListing {
    try ask([self]) { broker.rooms(prefix: bytes(prefix), after: cursor, limit: limit, $0) }
  }
}
