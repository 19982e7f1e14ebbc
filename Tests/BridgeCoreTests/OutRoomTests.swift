import ClientProtocol
import Realtime
import Testing
import TimeCore

@testable import BridgeCore

@Suite("How far a room was written")
struct OutRoomTests {
  private let epoch = Epoch(text: Array("a1".utf8).span)!  // Safe because the text is an epoch.
  private let other = Epoch(text: Array("b2".utf8).span)!  // Safe because the text is an epoch.

  private func page(
    _ epoch: Epoch, at offset: UInt64, _ entries: ClosedRange<UInt64>? = nil, lineage: [EpochEnd] = []
  ) -> HistoryPage {
    HistoryPage(
      position: Position(epoch: epoch, offset: offset), entries: entries.map { $0.map { ($0, []) } } ?? [],
      lineage: lineage)
  }

  private func place(_ offset: UInt64) -> Position { Position(epoch: epoch, offset: offset) }

  @Test("a known room sends what follows at once, and reads where something is missing")
  func follows() {
    var room = OutRoom(confirmed: place(4))
    #expect(room.wantsRead(maySend: true))
    room.beginRead()
    #expect(room.take(page(epoch, at: 4), limit: 100).entries.isEmpty)
    #expect(room.isIdle)
    #expect(room.notice(place(4), maySend: true) == .wait)
    #expect(room.notice(place(5), maySend: true) == .send)
    #expect(room.notice(place(6), maySend: false) == .wait)
    #expect(room.isDirty && room.lag == 2)
    room.beginRead()
    let progress = room.take(page(epoch, at: 7, 6...7), limit: 100)
    #expect(progress.entries.map(\.offset) == [6, 7] && progress.lost == 0)
    #expect(room.notice(place(9), maySend: true) == .read)
  }

  @Test("confirms what all before it were delivered, and sends everything after a failure again")
  func confirms() {
    var room = OutRoom(confirmed: place(0))
    room.beginRead()
    _ = room.take(page(epoch, at: 3, 1...3), limit: 100)
    #expect(!room.deliver(2) && room.confirmed == 0)
    #expect(room.deliver(1) && room.confirmed == 2)
    room.fail()
    #expect(room.isStalled && room.inFlight == 0)
    #expect(room.notice(place(4), maySend: true) == .wait, "nothing overtakes what failed")
    room.resume()
    #expect(room.wantsRead(maySend: true) && room.readsAfter == 2)
  }

  @Test("a room of which nothing is known begins with what history holds, and nothing of it is called lost")
  func unknown() {
    var room = OutRoom(confirmed: nil)
    room.beginRead()
    let progress = room.take(page(epoch, at: 20, 11...20), limit: 100)
    #expect(progress.lost == 0 && progress.isMoved && progress.entries.count == 10)
    #expect(room.position == place(10))
  }

  @Test("counts what history does not hold any more")
  func loses() {
    var room = OutRoom(confirmed: place(5))
    room.beginRead()
    let progress = room.take(page(epoch, at: 20, 11...20), limit: 100)
    #expect(progress.lost == 5 && progress.isMoved && progress.entries.first?.offset == 11)
    var empty = OutRoom(confirmed: place(5))
    empty.beginRead()
    #expect(empty.take(page(epoch, at: 9), limit: 100).lost == 4)
    #expect(empty.position == place(9))
  }

  @Test("waits with a gap until nothing is on its way, and does not ask all the time meanwhile")
  func quiet() {
    var room = OutRoom(confirmed: place(4))
    room.beginRead()
    _ = room.take(page(epoch, at: 5, 5...5), limit: 100)
    room.markDirty()
    room.beginRead()
    #expect(room.take(page(epoch, at: 20, 11...20), limit: 100).entries.isEmpty)
    #expect(!room.wantsRead(maySend: true))
    #expect(room.deliver(5) == true)
    #expect(room.wantsRead(maySend: true))
    room.beginRead()
    #expect(room.take(page(epoch, at: 20, 11...20), limit: 100).lost == 5)
  }

  @Test("continues an epoch where it is the same, and begins another one at its start")
  func epochs() {
    var room = OutRoom(confirmed: place(5))
    room.beginRead()
    let whole = [EpochEnd(position: place(5), isWhole: true)]
    let continued = room.take(page(other, at: 7, 6...7, lineage: whole), limit: 100)
    #expect(continued.lost == 0 && continued.entries.map(\.offset) == [6, 7] && room.epoch == other)

    var cut = OutRoom(confirmed: place(5))
    cut.beginRead()
    let shared = [EpochEnd(position: place(3), isWhole: false)]
    #expect(cut.take(page(other, at: 7, 6...7, lineage: shared), limit: 100).readsAgain)
    #expect(cut.readsAfter == 3)

    var fresh = OutRoom(confirmed: place(5))
    fresh.beginRead()
    #expect(fresh.take(page(other, at: 2), limit: 100).readsAgain)
    #expect(fresh.readsAfter == 0)
    fresh.beginRead()
    #expect(fresh.take(page(other, at: 2, 1...2), limit: 100).entries.count == 2)
  }

  @Test("keeps a window of messages on their way")
  func window() {
    var room = OutRoom(confirmed: place(0))
    room.beginRead()
    let progress = room.take(page(epoch, at: 1000, 1...300), limit: 1000)
    #expect(progress.entries.count == OutRoom.windowMax && !progress.readsAgain && room.isDirty)
    #expect(!room.wantsRead(maySend: true))
    for offset in 1...UInt64(OutRoom.windowMax / 2) { _ = room.deliver(offset) }
    #expect(room.wantsRead(maySend: true) && !room.wantsRead(maySend: false))
  }
}

@Suite("Leases on shards of rooms")
struct ShardLeaseTests {
  @Test("a lease is trusted for some time after it was asked for, and not while it is given back")
  func trust() {
    var leases = ShardLeases()
    let start = Instant(nanoseconds: 1_000_000_000)
    #expect(!leases.mayWrite(0, at: start))
    let first = leases.renew(Array(0..<16), fair: 16, asked: start)
    #expect(first.gained.count == 16 && first.lost.isEmpty && leases.mayWrite(3, at: start))
    #expect(!leases.mayWrite(3, at: start + ShardLeases.trust))
    // Another process has come.
    let second = leases.renew(Array(0..<16), fair: 8, asked: start)
    #expect(second.gained.isEmpty && leases.leaving.count == 8)
    #expect((0..<16).count { leases.mayWrite($0, at: start) } == 8)
    let third = leases.renew(Array(0..<8), fair: 8, asked: start)
    #expect(third.lost.count == 8 && leases.leaving.isEmpty)
  }

  @Test("spreads rooms over the shards")
  func spread() {
    var counts = [Int](repeating: 0, count: ShardLeases.count)
    for number in 0..<16_000 { counts[ShardLeases.shard(of: Array("room:\(number)".utf8))] += 1 }
    #expect(counts.allSatisfy { (700...1300).contains($0) }, "\(counts)")
  }
}
