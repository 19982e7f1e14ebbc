import ClientProtocol
import JSONCore
import Testing

@Suite("Server events")
struct ServerEventTests {
  private static let room = Array("\"r\"".utf8)
  private static let user = Array("\"ann\"".utf8)
  private static let position = Position(epoch: Epoch(10)!, offset: 7)

  private struct Body: EventBody {
    func write(to writer: inout JSONWriter) {
      writer.key("n")
      writer.integer(1)
    }
  }

  /// Every kind of event at least once, with what it is on the wire when it answers an operation whose id is "1".
  private static var events: [(ServerEvent, String)] {
    [
      (
        .welcome(connection: Array("n-1".utf8), node: Array("n".utf8), user: nil, pingIntervalMilliseconds: 25),
        #"{"type":"welcome","id":"1","connection":"n-1","node":"n","user":null,"pingInterval":25}"#
      ),
      (.authSuccess(user: Array("a\"b".utf8)), #"{"type":"auth_success","id":"1","user":"a\"b"}"#),
      (.authFailed(reason: "revoked"), #"{"type":"auth_failed","id":"1","reason":"revoked"}"#),
      (.tokenExpires(at: 5), #"{"type":"token_expires","id":"1","at":5}"#),
      (
        .joined(roomJSON: room, position, userCount: 2, recovered: true),
        #"{"type":"joined","id":"1","room":"r","epoch":"a","offset":7,"members":2,"recovered":true}"#
      ),
      (
        .joined(roomJSON: room, nil, userCount: 0, recovered: nil),
        #"{"type":"joined","id":"1","room":"r","members":0}"#
      ),
      (.left(roomJSON: room), #"{"type":"left","id":"1","room":"r"}"#),
      (.ack(roomJSON: room, position), #"{"type":"ack","id":"1","room":"r","epoch":"a","offset":7}"#),
      (.ack(roomJSON: room, nil), #"{"type":"ack","id":"1","room":"r"}"#),
      (.ackDelivered(3), #"{"type":"ack","id":"1","delivered":3}"#),
      (.ackSent, #"{"type":"ack","id":"1"}"#),
      (.presence(room: Array("r".utf8), Body()), #"{"type":"presence","id":"1","room":"r","n":1}"#),
      (.history(room: Array("r".utf8), Body()), #"{"type":"history","id":"1","room":"r","n":1}"#),
      (.response(Body()), #"{"id":"1","type":"response","n":1}"#),
      (.pong(at: 9), #"{"type":"pong","id":"1","ts":9}"#),
      (.error(.badRoom, "no"), #"{"type":"error","id":"1","code":"bad_room","message":"no"}"#),
      (
        .userJoined(roomJSON: room, userJSON: user, info: Array("{}".utf8)),
        #"{"type":"user_joined","id":"1","room":"r","user":"ann","info":{}}"#
      ),
      (.userLeft(roomJSON: room, userJSON: user), #"{"type":"user_left","id":"1","room":"r","user":"ann"}"#),
      (
        .userState(roomJSON: room, userJSON: user, state: Array("null".utf8)),
        #"{"type":"user_state","id":"1","room":"r","user":"ann","state":null}"#
      ),
      (
        .presenceUpdate(
          roomJSON: room, userCount: 3, joined: [Array("a".utf8), Array("b".utf8)], left: [], hasMore: true),
        #"{"type":"presence_update","id":"1","room":"r","count":3,"joined":["a","b"],"left":[],"more":true}"#
      ),
      (.gap(roomJSON: room, lost: 2...4), #"{"type":"gap","id":"1","room":"r","from":2,"to":4}"#),
      (.gap(roomJSON: room, lost: nil), #"{"type":"gap","id":"1","room":"r"}"#),
      (.directDropped(count: 4), #"{"type":"direct_dropped","id":"1","count":4}"#),
      (.degraded, #"{"type":"degraded","id":"1"}"#),
      (.restored, #"{"type":"restored","id":"1"}"#),
      (.reconnect(afterMilliseconds: -1), #"{"type":"reconnect","id":"1","after":0}"#),
    ]
  }

  @Test("are the JSON of the protocol, with and without an id")
  func json() {
    for (event, expected) in Self.events {
      var text: [UInt8] = []
      event.appendJSON(id: Array("\"1\"".utf8), to: &text)
      #expect(String(decoding: text, as: UTF8.self) == expected)
      text = []
      event.appendJSON(to: &text)
      let bare = expected.replacing(#","id":"1""#, with: "").replacing(#""id":"1","#, with: "")
      #expect(String(decoding: text, as: UTF8.self) == bare)
    }
  }

  @Test("of every kind but messages are tested here, and named as they are on the wire")
  func kinds() {
    let tested = Set(Self.events.map(\.0.kind))
    for kind in EventKind.allCases where !kind.isMessage { #expect(tested.contains(kind), "\(kind)") }
    for (event, expected) in Self.events { #expect(expected.contains("\"type\":\"\(event.kind.wireName)\"")) }
  }

  @Test("say of each close code what a client does")
  func reconnect() {
    for code in [1001, 1006, 1011, 1012, 1013, 4408] as [UInt16] {
      #expect(CloseReason.reconnect(after: code) == .soon)
    }
    #expect(CloseReason.reconnect(after: 4429) == .later)
    for code in [1000, 1002, 1003, 1005, 1007, 1008, 1009, 4401, 4403, 4409, 4999] as [UInt16] {
      #expect(CloseReason.reconnect(after: code) == .never)
    }
    for reason in CloseReason.allCases {
      #expect(reason.reconnect == CloseReason.reconnect(after: reason.code))
      // RFC 6455 section 5.5: a control frame has 125 bytes at the most, two of them for the code.
      #expect((1...123).contains(reason.text.utf8CodeUnitCount))
    }
  }
}
