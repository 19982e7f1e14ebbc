import ClientProtocol
import Testing

@testable import Realtime

/// What stands beside the hub: callers without a session, observers, authorisers, actions, transports.
@Suite("Seams of the hub")
struct SeamTests {
  private final class Answers {
    var list: [(text: String, code: ErrorCode?)] = []
  }

  private func caller(_ user: String, _ answers: Answers, rooms: [String]? = nil) -> RequestCaller {
    let identity = rooms.map { Identity(user: Array(user.utf8), rooms: RoomGrants($0.map { Array($0.utf8) })) }
    return RequestCaller(
      user: Array(user.utf8), identity: identity, address: Array("127.0.0.1".utf8)
    ) { answers.list.append((String(decoding: $0, as: UTF8.self), $1)) }
  }

  private func send(_ text: String, _ bench: HubBench, by caller: RequestCaller) {
    let text = Array(text.utf8)
    bench.hub.perform(text.span, by: caller)
    bench.settle()
  }

  @Test("a message without a session reaches the room, in order, once for each id")
  func requestPublishes() {
    let bench = HubBench()
    let (ann, answers) = (bench.open("ann"), Answers())
    ann.join("r")
    _ = ann.take()
    for _ in 0..<2 {
      send(#"{"type":"message","room":"r","id":"1","text":"hello"}"#, bench, by: caller("bob", answers))
    }
    send(#"{"type":"message","room":"r","n":2}"#, bench, by: caller("bob", answers))
    let messages = ann.take().map(\.description)
    #expect(messages.count == 2 && messages[0].contains(#""user":"bob""#) && messages[0].contains(#""offset":1"#))
    #expect(messages.last?.hasSuffix(#""n":2}"#) == true)
    #expect(answers.list.count == 3 && answers.list.allSatisfy { $0.code == nil })
    #expect(answers.list[0].text.hasPrefix(#"{"type":"ack","id":"1","room":"r","epoch":""#))
    #expect(answers.list[0].text == answers.list[1].text)
    #expect(answers.list[2].text.hasPrefix(#"{"type":"ack","room":"r","epoch":""#))
  }

  @Test(
    "what may not be done without a session is answered with the error of a session",
    arguments: [
      (#"{"type":"message","room":"other","n":1}"#, ErrorCode.forbidden),
      (#"{"type":"message","room":"news","n":1}"#, .forbidden),
      (#"{"type":"message","room":"chat*","n":1}"#, .badRoom),
      (#"{"type":"broadcast","n":1}"#, .forbidden),
      (#"{"type":"join","room":"chat"}"#, .badRequest),
      (#"{"type":"what"}"#, .unknownType),
      ("{", .badRequest),
    ])
  func requestRefused(operation: String, code: ErrorCode) {
    let (bench, answers) = (HubBench(), Answers())
    send(operation, bench, by: caller("bob", answers, rooms: ["chat", "r:news"]))
    #expect(answers.list.map(\.code) == [code])
    #expect(answers.list.first?.text.hasPrefix(#"{"type":"error","code":"\#(code.rawValue)""#) == true)
  }

  @Test("requests of one user or address share the rates of a connection")
  func requestRates() {
    let bench = HubBench { $0.operationsPerSecond = 3 }
    let answers = Answers()
    for _ in 0..<5 { send(#"{"type":"ping"}"#, bench, by: caller("bob", answers)) }
    #expect(answers.list.map(\.code) == [nil, nil, nil, .rateLimited, .rateLimited])
    bench.wait(milliseconds: 1000)
    send(#"{"type":"ping"}"#, bench, by: caller("bob", answers))
    #expect(answers.list.last?.code == nil)
  }

  @Test("messages to rooms that nobody is in are charged as joins of them are")
  func newRooms() {
    let bench = HubBench {
      $0.newRoomsPerSecond = 2
      $0.roomsPerConnectionMax = 3
    }
    let (ann, answers) = (bench.open("ann"), Answers())
    ann.join("known")
    for number in 0..<5 { send(#"{"type":"message","room":"r\#(number)"}"#, bench, by: caller("bob", answers)) }
    send(#"{"type":"message","room":"known"}"#, bench, by: caller("bob", answers))
    #expect(answers.list.map(\.code) == [nil, nil, nil, .rateLimited, .rateLimited, nil])
    bench.wait(milliseconds: 1000)
    send(#"{"type":"message","room":"r9"}"#, bench, by: caller("bob", answers))
    #expect(answers.list.last?.code == nil)
  }

  @Test("observers receive the kinds of events that they asked for")
  func observers() {
    let bench = HubBench()
    var seen: [String] = []
    bench.hub.observers.add([.messages, .sessions]) { event in
      switch event {
      case .connected: seen.append("connected")
      case .identified: seen.append("identified")
      case .disconnected(_, let user, _, _): seen.append("disconnected \(String(decoding: user ?? [], as: UTF8.self))")
      case .published(let room, let position, _):
        seen.append("published \(String(decoding: room, as: UTF8.self)) \(position.offset)")
      default: seen.append("another kind")
      }
    }
    let ann = bench.open("ann")
    ann.join("r")
    ann.send(#"{"type":"message","room":"r","n":1}"#)
    bench.hub.close(ann.session)
    #expect(seen == ["connected", "identified", "published r 1", "disconnected ann"])
  }

  @Test("an authoriser forbids what it names, with its reason")
  func authoriser() {
    let bench = HubBench()
    bench.hub.authorisers.add { action, principal in
      guard String(decoding: principal.user, as: UTF8.self) == "eve" else { return nil }
      switch action {
      case .read(let room), .publish(let room):
        return String(decoding: room, as: UTF8.self).hasPrefix("staff") ? "staff only" : nil
      case .direct, .broadcast: return "not you"
      }
    }
    let (eve, ann) = (bench.open("eve"), bench.open("ann"))
    for client in [eve, ann] {
      client.post(#"{"id":"1","type":"join","room":"staff:1"}"#)
      client.post(#"{"id":"2","type":"history","room":"staff:1"}"#)
      client.post(#"{"id":"3","type":"broadcast","n":1}"#)
      client.post(#"{"id":"4","type":"join","room":"lobby"}"#)
    }
    bench.settle()
    let refused = eve.take().map(\.description).filter { $0.contains("\"error\"") }
    #expect(refused.count == 3 && refused.allSatisfy { $0.contains("forbidden") })
    #expect(refused.filter { $0.contains("staff only") }.count == 2)
    #expect(!ann.take().contains { $0.description.contains("\"error\"") })
  }

  @Test("an action that a program registers answers requests, at once or later")
  func actions() {
    let bench = HubBench()
    var pending: [() -> Void] = []
    bench.hub.actions.register("double") { request, reply in
      pending.append { reply(.success(payload: (request.payload ?? []) + (request.payload ?? []))) }
    }
    let ann = bench.open("ann")
    ann.post(#"{"id":"1","type":"request","action":"double","payload":7}"#)
    ann.post(#"{"id":"2","type":"request","action":"triple"}"#)
    #expect(ann.take().map(\.description).first?.contains(#""ok":false,"error":{"code":"not_found""#) == true)
    for answer in pending { answer() }
    #expect(ann.take().map(\.description) == [#"{"id":"1","type":"response","ok":true,"payload":77}"#])
  }
}
