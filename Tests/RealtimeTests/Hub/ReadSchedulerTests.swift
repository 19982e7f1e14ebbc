import Testing

@testable import Realtime

@Suite("Large reads, their turns")
struct ReadSchedulerTests {
  /// A scheduler over a broker that answers when it is told to.
  private final class Desk {
    var begun: [(key: ReadKey, reply: ReadScheduler.Reply)] = []
    var log: [String] = []
    var heldBack: Set<ReadOwner> = []
    /// Lazy, because its closures are about the desk.
    lazy var scheduler = ReadScheduler(
      flightsMax: 2, answeredAtOnceMax: 4,
      perform: { [unowned self] key, reply in begun.append((key, reply)) },
      mayStart: { [unowned self] owner, _ in !heldBack.contains(owner) })

    func owner(_ number: UInt32) -> ReadOwner { .session(SlabID(index: number, generation: 1)) }

    func key(_ room: String) -> ReadKey { .members(room: Array(room.utf8), after: nil, limit: 10) }

    func ask(_ number: UInt32, _ room: String, isNeeded: Bool = true) {
      let request = ReadScheduler.Request(
        key: { [unowned self] in isNeeded ? key(room) : nil },
        finish: { [unowned self] in log.append($0 == nil ? "\(number) \(room) dropped" : "\(number) \(room)") })
      scheduler.add(request, for: owner(number))
    }

    /// The broker answers the read that began first.
    func answer() { begun.removeFirst().reply(.success(.members(MemberList(usersMax: 10, isFromStart: true)))) }

    var rooms: [String] { begun.map { String(decoding: $0.key.room, as: UTF8.self) } }
  }

  @Test("has one read of each owner under way, in the order in which it asked, and a few in all, in turns")
  func turns() {
    let desk = Desk()
    for room in ["a1", "a2", "a3"] { desk.ask(1, room) }
    for room in ["b1", "b2"] { desk.ask(2, room) }
    desk.ask(3, "c1")
    #expect(desk.rooms == ["a1", "b1"])
    #expect(desk.scheduler.waitingCount(of: desk.owner(1)) == 2)
    desk.answer()
    #expect(desk.rooms == ["b1", "c1"])
    while !desk.begun.isEmpty {
      #expect(desk.begun.count <= 2)
      desk.answer()
    }
    #expect(desk.log == ["1 a1", "2 b1", "3 c1", "1 a2", "2 b2", "1 a3"])
    #expect(desk.scheduler.underWay == 0 && desk.scheduler.waitingCount(of: desk.owner(1)) == 0)
  }

  @Test("answers equal reads by one, but not those that are asked for after the room has changed")
  func sharing() {
    let desk = Desk()
    for number in 1...5 as ClosedRange<UInt32> { desk.ask(number, "r") }
    #expect(desk.rooms == ["r"])
    desk.scheduler.seal(room: Array("other".utf8))
    desk.ask(6, "r")
    #expect(desk.rooms == ["r"])
    desk.scheduler.seal(room: Array("r".utf8))
    desk.ask(7, "r")
    desk.ask(8, "r")
    #expect(desk.rooms == ["r", "r"])
    desk.answer()
    #expect(desk.log == (1...6).map { "\($0) r" })
    desk.answer()
    #expect(desk.log.suffix(2) == ["7 r", "8 r"])
  }

  @Test("drops what a closed owner waits for, and skips what is not needed any more")
  func forgetting() {
    let desk = Desk()
    for room in ["a", "b", "c"] { desk.ask(1, room) }
    desk.ask(2, "d", isNeeded: false)
    desk.ask(2, "e")
    desk.scheduler.forget(desk.owner(1))
    #expect(desk.log == ["1 b dropped", "1 c dropped"])
    #expect(desk.rooms == ["a", "e"])
    desk.answer()
    desk.answer()
    #expect(desk.log.suffix(2) == ["1 a", "2 e"])
    // It may come back.
    desk.ask(1, "f")
    #expect(desk.rooms == ["f"])
  }

  @Test("keeps back an owner that may not begin until it may, and nobody else")
  func parking() {
    let desk = Desk()
    desk.heldBack = [desk.owner(1)]
    desk.ask(1, "a")
    desk.ask(2, "b")
    #expect(desk.rooms == ["b"])
    desk.scheduler.unpark(desk.owner(1))
    #expect(desk.rooms == ["b"])
    desk.heldBack = []
    desk.scheduler.unpark(desk.owner(1))
    #expect(desk.rooms == ["b", "a"])
  }

  @Test("gives what many share over several ticks, once the answers of one have so many bytes, and in their order")
  func sharedAnswers() {
    var log: [Int] = []
    var land: ReadScheduler.Reply?
    let scheduler = ReadScheduler(
      flightsMax: 1, answeredAtOnceMax: 10, answeredBytesMax: 100, perform: { _, reply in land = reply },
      mayStart: { _, _ in true })
    for owner in 1...7 {
      let request = ReadScheduler.Request(
        key: { .members(room: [], after: nil, limit: 10) },
        finish: { _ in
          log.append(owner)
          scheduler.noteAnswered(bytes: 40)
        })
      scheduler.add(request, for: .session(SlabID(index: UInt32(owner), generation: 0)))
    }
    land?(.failure(.unavailable))
    #expect(log == [1, 2, 3] && scheduler.waitsForTick)
    scheduler.tickBegins()
    #expect(log == [1, 2, 3, 4, 5, 6] && scheduler.waitsForTick)
    scheduler.tickBegins()
    #expect(log == Array(1...7) && !scheduler.waitsForTick)
  }

  @Test("takes answers that come before the call returns")
  func atOnce() {
    var log: [String] = []
    let scheduler = ReadScheduler(
      flightsMax: 1, answeredAtOnceMax: 10, perform: { _, reply in reply(.failure(.unavailable)) },
      mayStart: { _, _ in true })
    func ask(_ room: String, _ then: @escaping () -> Void = {}) {
      let request = ReadScheduler.Request(
        key: { .members(room: Array(room.utf8), after: nil, limit: 10) },
        finish: { _ in
          log.append(room)
          then()
        })
      scheduler.add(request, for: .admin)
    }
    ask("a") { ask("b") { ask("c") } }
    #expect(log == ["a", "b", "c"])
    #expect(scheduler.underWay == 0)
  }

  @Test("charges what is read against what a second allows, and is paid off by time")
  func debt() {
    var debt = ReadDebt(bytesPerSecond: 1000, burst: 500, now: 0)
    debt.charge(1000, at: 0)
    #expect(debt.delay(at: 0) == 0)
    debt.charge(3000, at: 0)
    #expect(debt.delay(at: 0) == 3000)
    #expect(debt.delay(at: 2000) == 1000)
    // A clock that was set back brings nothing.
    #expect(debt.delay(at: 1000) == 1000)
    #expect(debt.delay(at: 1999) == 1)
    #expect(debt.delay(at: 2000) == 0)
    #expect(debt.delay(at: 100_000) == 0)
    debt.charge(1500, at: 100_000)
    #expect(debt.delay(at: 100_000) == 500)
    var free = ReadDebt(bytesPerSecond: 0, burst: 0, now: 0)
    free.charge(.max / 2, at: 0)
    #expect(free.delay(at: 0) == 0)
  }

  @Test("has a broker that answers at once do a few reads in each tick, and the others in the next ones")
  func ticks() {
    var log: [String] = []
    let scheduler = ReadScheduler(
      flightsMax: 8, answeredAtOnceMax: 2, perform: { _, reply in reply(.failure(.unavailable)) },
      mayStart: { _, _ in true })
    for number in 1...5 {
      let request = ReadScheduler.Request(
        key: { .members(room: Array("r\(number)".utf8), after: nil, limit: 10) },
        finish: { _ in log.append("r\(number)") })
      scheduler.add(request, for: .session(SlabID(index: UInt32(number), generation: 1)))
    }
    #expect(log == ["r1", "r2"] && scheduler.waitsForTick)
    scheduler.tickBegins()
    #expect(log == ["r1", "r2", "r3", "r4"] && scheduler.waitsForTick)
    scheduler.tickBegins()
    #expect(log == ["r1", "r2", "r3", "r4", "r5"] && !scheduler.waitsForTick)
  }
}
