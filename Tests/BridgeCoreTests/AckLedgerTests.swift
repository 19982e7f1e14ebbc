import Testing

@testable import BridgeCore

@Suite("What of a partition may be confirmed")
struct AckLedgerTests {
  @Test("confirms the contiguous part only, whatever the order of the answers")
  func contiguous() {
    var ledger = AckLedger<Int>()
    for record in 0..<5 { ledger.append(record) }
    for number in 0..<5 { #expect(ledger.next()?.number == number) }
    #expect(ledger.next() == nil && ledger.inFlight == 5)
    #expect(ledger.finish(1) == nil)
    #expect(ledger.finish(3) == nil)
    #expect(ledger.finish(0) == 1)
    #expect(ledger.finish(0) == nil, "an answer counts once")
    #expect(ledger.finish(2) == 3)
    #expect(ledger.finish(4) == 4)
    #expect(ledger.count == 0 && ledger.inFlight == 0)
  }

  @Test("sends the failed ones again, in their order, and not those that are done")
  func rewinds() {
    var ledger = AckLedger<Int>()
    for record in 0..<4 { ledger.append(record) }
    for _ in 0..<4 { _ = ledger.next() }
    ledger.fail(1)
    #expect(ledger.finish(2) == nil)
    ledger.rewind()
    #expect(ledger.next() == nil, "something is still on its way")
    #expect(ledger.finish(0) == 0)
    ledger.fail(3)
    ledger.rewind()
    #expect(ledger.upcoming == 1)
    #expect(ledger.next()?.record == 1)
    #expect(ledger.next()?.record == 3)
    #expect(ledger.finish(1) == 2)
    #expect(ledger.finish(3) == 3)
  }

  @Test("keeps its numbers over thousands of records")
  func long() {
    var ledger = AckLedger<Int>()
    var last = -1
    for record in 0..<5000 {
      ledger.append(record)
      guard let next = ledger.next() else {
        Issue.record("\(record) was not sent")
        return
      }
      #expect(next.record == record && next.number == record)
      if record >= 10, let done = ledger.finish(record - 10) { last = done }
    }
    #expect(last == 4989 && ledger.count == 10 && ledger.inFlight == 10)
  }
}
