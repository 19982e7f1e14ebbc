import CCurl
import Realtime
import TimeCore
import Testing
import Transfers

@testable import Webhooks

/// What one client may take of a backend's attention.
@Suite("Shares of the backend")
struct BackendShareTests {
  private typealias Completion = (Result<TransferAnswer, TransferFault>) -> Void

  /// Calls whose answers a test gives.
  private final class Bench {
    var now = Instant.zero
    var open: [(time: Interval, completion: Completion)] = []
    var notices: [BackendCalls.Notice] = []
    var results: [String: [Result<Bool, BackendCalls.Fault>]] = [:]
    private(set) lazy var calls = BackendCalls(
      timeout: .seconds(3), post: { [unowned self] in open.append(($2, $3)) }, now: { [unowned self] in now },
      log: { [unowned self] in notices.append($0) })

    func call(_ user: String?) {
      let read: ([UInt8]) throws(UnusableAnswer) -> Bool = { (body) throws(UnusableAnswer) in
        try BackendAnswer.decision(body, takesData: false) == .allowed()
      }
      calls.call([], of: user.map { .user(Array($0.utf8)) }, read: read) { [unowned self] in
        results[user ?? "", default: []].append($0)
      }
    }

    func answer(_ status: Int = 200, _ body: String = #"{"ok":true}"#) {
      open.removeFirst().completion(.success(TransferAnswer(status: status, body: Array(body.utf8))))
    }

    func fail(_ fault: TransferFault) { open.removeFirst().completion(.failure(fault)) }
  }

  @Test(
    "a client has a share of what is under way; the rest of its calls wait in their order, and no longer than the timeout"
  )
  func share() {
    let bench = Bench()
    let max = BackendLimits.callsPerOwnerMax
    for _ in 0..<(max + 3) { bench.call("ann") }
    #expect(bench.open.count == max)
    // Others have their own, and who cannot be told from others none.
    bench.call("bob")
    for _ in 0..<20 { bench.call(nil) }
    #expect(bench.open.count == max + 21)
    bench.now = .zero + .seconds(1)
    bench.answer()
    // The next one has what is left of its time.
    #expect(bench.open.count == max + 21 && bench.open.last?.time == .seconds(2))
    bench.now = .zero + .seconds(3)
    bench.answer()
    #expect(bench.results["ann"]?.suffix(2) == [.failure(.tooManyOfOwner), .failure(.tooManyOfOwner)])
    #expect(bench.open.count == max + 20)
    while !bench.open.isEmpty { bench.answer() }
    #expect(bench.results["ann"]?.count == max + 3 && bench.results["bob"] == [.success(true)])
    // Nothing is left of it: the whole share is there again.
    for _ in 0..<max { bench.call("ann") }
    #expect(bench.open.count == max)
  }

  @Test("more than may wait is refused, of one client and of all")
  func bounds() {
    let bench = Bench()
    let each = BackendLimits.callsPerOwnerMax + BackendLimits.waitingPerOwnerMax
    for _ in 0..<(each + 1) { bench.call("u0") }
    #expect(bench.results["u0"] == [.failure(.tooManyOfOwner)])
    let clients = BackendLimits.waitingForShareMax / BackendLimits.waitingPerOwnerMax
    for client in 1..<clients { for _ in 0..<each { bench.call("u\(client)") } }
    for _ in 0...BackendLimits.callsPerOwnerMax { bench.call("late") }
    #expect(bench.results["late"] == [.failure(.tooManyOfOwner)])
    #expect(bench.calls.counts.skipped == 2)
  }

  @Test("ten failures in a row open the circuit breaker, whatever they are and whichever client asked")
  func breaker() {
    let bench = Bench()
    func fail(_ user: String, _ fault: TransferFault = .timedOut) {
      bench.call(user)
      bench.fail(fault)
    }
    for n in 0..<CircuitBreaker.failuresMax {
      #expect(!bench.calls.isPaused, "\(n)")
      fail("ann")
    }
    #expect(bench.calls.isPaused)
    bench.now = .zero + CircuitBreaker.pause
    bench.call("bob")
    bench.answer()
    #expect(!bench.calls.isPaused)
    for _ in 0..<CircuitBreaker.failuresMax { fail("ann", TransferFault(CURLE_COULDNT_CONNECT, "")) }
    #expect(bench.calls.isPaused)
  }

  @Test("says what was wrong, to the client and to the log, each reason once a minute")
  func reasons() {
    let bench = Bench()
    let cases: [((Bench) -> Void, String)] = [
      ({ $0.answer(404) }, "the backend answered with status 404"),
      ({ $0.answer(500) }, "the backend answered with status 500"),
      ({ $0.answer(200, "<html>") }, "the backend's answer cannot be used;"),
      ({ $0.answer(200, "{}") }, "the backend's answer cannot be used;"),
      ({ $0.answer(200, #"{"ok":1}"#) }, "the backend's answer cannot be used;"),
      ({ $0.fail(.timedOut) }, "the backend did not answer in time"),
      ({ $0.fail(TransferFault(CURLE_COULDNT_CONNECT, "")) }, "the backend cannot be reached;"),
      ({ $0.fail(TransferFault(CURLE_PEER_FAILED_VERIFICATION, "")) }, "the backend cannot be reached;"),
      ({ $0.fail(TransferFault(CURLE_WRITE_ERROR, "")) }, "the backend's answer cannot be used;"),
    ]
    for round in 1...2 {
      for (number, (answer, text)) in cases.enumerated() {
        let user = "\(round) \(number)"
        bench.call(user)
        answer(bench)
        guard case .failure(.failed(let failure))? = bench.results[user]?.first else {
          Issue.record("no failure: \(text)")
          continue
        }
        #expect(failure.forClients.hasPrefix(text) && failure.forClients.contains("try again"), "\(failure.forClients)")
        bench.call(nil)
        bench.answer()
      }
      #expect(bench.notices.count == cases.count)
    }
    bench.now = .zero + BackendLimits.logInterval
    bench.call("ann")
    bench.answer(404)
    #expect(bench.notices.count == cases.count + 1 && bench.notices.last == .failed("its status is 404"))
  }
}
