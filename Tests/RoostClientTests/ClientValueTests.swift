import ClientProtocol
import Testing

@testable import RoostClient

@Suite("What a client decides")
struct ClientValueTests {
  @Test("tries the transports in their order, keeps one that works, and waits only when all have failed")
  func transports() {
    var choice = TransportChoice([.webSocket, .eventStream, .poll])
    #expect(choice.failed(.broken("no welcome")) == .otherTransport && choice.current == .eventStream)
    choice.worked()
    // Lost later: the same first, then the others.
    #expect(choice.current == .eventStream)
    #expect(choice.failed(.refused(status: 502)) == .otherTransport && choice.current == .poll)
    #expect(choice.failed(.refused(status: 404)) == .otherTransport && choice.current == .webSocket)
    #expect(choice.failed(.refused(status: 400)) == .firstLater && choice.current == .webSocket)
  }

  @Test("blames no transport for what is not its fault, and stays away where the server wants it")
  func blame() {
    var choice = TransportChoice([.webSocket, .eventStream])
    for end in [
      WireEnd.unreachable("refused"), .refused(status: 503), .refused(status: 429), .closed(code: 1013, reason: ""),
    ] {
      #expect(choice.failed(end) == .sameLater && choice.current == .webSocket)
    }
    #expect(choice.failed(.closed(code: 4401, reason: "")) == .never(code: 4401))
    // A proxy's 403 to an upgrade is no node's.
    #expect(choice.failed(.refused(status: 403)) == .otherTransport)
    #expect(choice.failed(.refused(status: 401)) == .never(code: 4401))
    #expect(choice.failed(.refused(status: 403)) == .never(code: 4403))
  }

  @Test("waits longer and longer, at random, and starts over")
  func backoff() {
    var (backoff, random) = (Backoff(), SystemRandomNumberGenerator())
    let waits = (0..<200).map { _ in backoff.next(using: &random) }
    #expect(waits[0] <= 500 && waits.allSatisfy { (0...30_000).contains($0) } && waits.contains { $0 > 15_000 })
    backoff.reset()
    #expect(backoff.next(using: &random) <= 500)
  }

  private func call(_ table: inout CallTable, _ type: ClientOperation.Kind, resends: Bool, room: String? = "r") -> Call
  {
    let (id, number) = table.nextID()
    let operation = Operation(id: id, type: type, room: room, text: Array("0123456789".utf8))
    return Call(operation: operation, number: number, resends: resends) { _, _ in }
  }

  @Test("sends again in order what may be sent again, and gives up the rest")
  func calls() {
    var table = CallTable()
    let calls = [true, false, true, true].map { call(&table, .message, resends: $0) }
    for each in calls { #expect(table.add(each, countMax: 10, bytesMax: 1000) == true) }
    let now = ContinuousClock.now
    #expect(table.takeUnsent(at: now) { _ in false }.send.map(\.id) == calls.map(\.operation.id))
    #expect(table.takeUnsent(at: now) { _ in false }.send.isEmpty)
    #expect(table.take(calls[0].operation.id)?.number == calls[0].number)
    #expect(table.connectionLost().map(\.number) == [calls[1].number])
    let later = call(&table, .message, resends: true)
    #expect(table.add(later, countMax: 10, bytesMax: 1000) == true)
    let again = table.takeUnsent(at: now) { $0.number == calls[2].number }
    #expect(again.send.map(\.id) == [calls[3].operation.id, later.operation.id], "one waits for its room")
    let never = call(&table, .message, resends: true)
    #expect(table.add(never, countMax: 10, bytesMax: 1000) == true)
    _ = table.connectionLost()
    let late = now + .seconds(ClientLimits.resendSeconds + 1)
    let outcome = table.takeUnsent(at: late) { _ in false }
    #expect(outcome.send.map(\.id) == [never.operation.id], "it was never sent, so it cannot be done twice")
    #expect(outcome.expired.map(\.number) == [calls[2], calls[3], later].map(\.number))
    #expect(table.count == 1)
  }

  @Test("holds no more calls and no more bytes than it may")
  func bounds() {
    var table = CallTable()
    for _ in 1...3 {
      let next = call(&table, .message, resends: true)
      #expect(table.add(next, countMax: 3, bytesMax: 1000) == true)
    }
    let fourth = call(&table, .message, resends: true)
    #expect(table.add(fourth, countMax: 3, bytesMax: 1000) == false)
    #expect(table.add(fourth, countMax: 10, bytesMax: 35) == false)
    #expect(table.takeAll().count == 3)
    #expect(table.add(fourth, countMax: 1, bytesMax: 1) == true, "one may wait however large it is")
  }

  @Test("reads an event stream however it is cut (HTML standard, section 9.2.6)")
  func eventStream() {
    let text =
      "retry: 10\n:\n\nid: e:1\ndata: {\"a\":1}\n\nevent: close\r\ndata:x\r\ndata: y\r\n\r\ndata\n\nid: 3\n\ndata: cut"
    let expected: [EventStreamReader.Event] = [
      .init(name: "", data: Array("{\"a\":1}".utf8)), .init(name: "close", data: Array("x\ny".utf8)),
      .init(name: "", data: []),
    ]
    let bytes = Array(text.utf8)
    for size in [1, 2, 3, 7, bytes.count] {
      var reader = EventStreamReader()
      var events: [EventStreamReader.Event] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        events += reader.take(Array(bytes[start..<min(bytes.count, start + size)]))
      }
      #expect(events == expected, "\(size)")
    }
  }

  @Test("counts its own messages as seen once everything before them has come")
  func own() {
    let room = RoomEntry("r")
    room.enter(Joined(room: "r", epoch: "e", offset: 5, members: 1, recovered: nil))
    room.noteOwn(7, epoch: "e")
    #expect(room.offset == 5)
    #expect(room.advance(to: 6) && room.offset == 7)
    #expect(room.advance(to: 7) == false, "a copy")
    room.noteOwn(8, epoch: "f")
    #expect(room.offset == 7, "of another epoch")
    room.enter(Joined(room: "r", epoch: "g", offset: 2, members: 1, recovered: false))
    #expect(room.offset == 2)
    room.enter(Joined(room: "r", epoch: "h", offset: 9, members: 1, recovered: true))
    #expect(room.offset == 2 && room.epoch == "h", "what was missed comes now")
  }

  @Test("applies the notices that came while the members were read to what the answer says")
  func members() {
    let book = MemberBook()
    book.beginReading()
    book.take(.came("late", info: nil))
    book.take(.went("old"))
    book.take(.state("stays", "1"))
    book.add([Member(user: "old", info: nil, state: nil), Member(user: "stays", info: "{}", state: nil)])
    book.finishReading()
    #expect(book.all.map(\.user) == ["late", "stays"] && book.all.last?.state == "1")
    book.take(.went("late"))
    book.take(.came("stays", info: "2"))
    #expect(book.all == [Member(user: "stays", info: "2", state: "1")])
  }
}
