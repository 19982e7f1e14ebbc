import JSONCore
import Realtime
import Testing
import TimeCore
import Transfers
import Webhooks

@Suite("Answers of a backend")
struct BackendAnswerTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test("a decision is allowed, refused with a reason, or replaces the members of a message")
  func decisions() throws {
    let cases: [(String, Decision)] = [
      (#"{"ok":true}"#, .allowed()), (#" {"more":[1],"ok":true,"data":null} "#, .allowed()),
      (#"{"ok":false}"#, .refused(reason: "the backend refused it")),
      (#"{"ok":false,"reason":"a\u0062c","data":7}"#, .refused(reason: "abc")),
      (#"{"ok":true,"data":{"a": 1.50}}"#, .allowed(data: bytes(#"{"a": 1.50}"#))),
      (#"{"\u006fk":true}"#, .allowed()),
    ]
    for (text, decision) in cases {
      #expect(try BackendAnswer.decision(bytes(text), takesData: true) == decision, "\(text)")
    }
  }

  @Test(
    "an answer that is not clear decides nothing",
    arguments: [
      "", "true", "[]", "{", #"{"ok":1}"#, #"{"ok":"true"}"#, #"{"ok":null}"#, "{}", #"{"ok":true,"ok":false}"#,
      #"{"ok":true,"x":1,"x":2}"#, #"{"ok":true,"data":{"a":1,"\u0061":2}}"#, #"{"ok":true,"x":[{"a":{},"a":1}]}"#,
      #"{"ok":true}x"#, #"{"ok":false,"reason":7}"#, #"{"ok":true,"data":[]}"#, #"{"ok":true,"data":{"user":"root"}}"#,
      #"{"ok":true,"data":{"\u0072oom":"r"}}"#, #"{"ok":true,"reason":"\ud83d"}"#,
      #"{"ok":false,"reason":""# + String(repeating: "x", count: 1025) + #""}"#,
    ])
  func unclear(text: String) {
    #expect(throws: UnusableAnswer.self) { try BackendAnswer.decision(bytes(text), takesData: true) }
  }

  @Test("what replaces members is for messages that have some, and text is UTF-8")
  func wrongKind() {
    #expect(throws: UnusableAnswer.self) {
      try BackendAnswer.decision(bytes(#"{"ok":true,"data":{"a":1}}"#), takesData: false)
    }
    #expect(throws: UnusableAnswer.self) {
      try BackendAnswer.decision(bytes(#"{"ok":true,"x":""#) + [0xFF] + bytes("\"}"), takesData: false)
    }
  }

  @Test("a connection is given a user, info, rooms, permissions and an end, and a user where nobody else names it")
  func connect() throws {
    let text = #"""
      {"ok":true,"user":"ann","info":{"a":1.0},"rooms":["a*","r:b"],"permissions":["broadcast"],"expires":1700000000.5}
      """#
    var grant = ConnectGrant()
    grant.user = bytes("ann")
    grant.info = bytes(#"{"a":1.0}"#)
    grant.rooms = RoomGrants([bytes("a*"), bytes("r:b")])
    grant.permissions = .init(mayBroadcast: true, mayDirect: false)
    grant.expiresAt = 1_700_000_000_500
    #expect(try BackendAnswer.connect(bytes(text), needsUser: true, defaultRooms: nil) == .allowed(grant))
    let rooms = RoomGrants([bytes("d")])
    var short = ConnectGrant()
    #expect(
      try BackendAnswer.connect(bytes(#"{"ok":true}"#), needsUser: false, defaultRooms: rooms) == .allowed(short))
    (short.user, short.rooms) = (bytes("u"), rooms)
    #expect(
      try BackendAnswer.connect(bytes(#"{"ok":true,"user":"u"}"#), needsUser: true, defaultRooms: rooms)
        == .allowed(short))
    for wrong in [
      "{}", #"{"ok":true}"#, #"{"ok":true,"user":""}"#, #"{"ok":true,"user":"a\n"}"#, #"{"ok":true,"user":7}"#,
      #"{"ok":true,"user":"u","rooms":"a"}"#, #"{"ok":true,"user":"u","rooms":[1]}"#,
      #"{"ok":true,"user":"u","rooms":[""]}"#, #"{"ok":true,"user":"u","permissions":{}}"#,
      #"{"ok":true,"user":"u","expires":"soon"}"#, #"{"ok":true,"user":"u","expires":1700000000000}"#,
      #"{"ok":true,"user":"u","info":""# + String(repeating: "x", count: 2048) + #""}"#,
      #"{"ok":true,"user":"u","rooms":["# + String(repeating: "\"a\",", count: 256) + "\"a\"]}",
    ] {
      #expect(throws: UnusableAnswer.self, "\(wrong)") {
        try BackendAnswer.connect(bytes(wrong), needsUser: true, defaultRooms: nil)
      }
    }
  }

  @Test("the circuit breaker opens after ten failures in a row, and one attempt after five seconds closes it or not")
  func breaker() {
    enum Step { case fail, succeed, unsent, admits(Bool), wait(Int) }
    let tables: [([Step], [CircuitBreaker.Change])] = [
      (Array(repeating: .fail, count: 9) + [.admits(true), .succeed], []),
      (Array(repeating: .fail, count: 9) + [.succeed] + Array(repeating: .fail, count: 9) + [.admits(true)], []),
      (
        Array(repeating: .fail, count: 10) + [
          .admits(false), .wait(4999), .admits(false), .fail, .wait(1), .admits(true), .admits(false), .succeed,
          .admits(true), .admits(true),
        ], [.opened, .closed]
      ),
      (
        Array(repeating: .fail, count: 10) + [
          .wait(5000), .admits(true), .fail, .admits(false), .wait(4999), .admits(false), .wait(1), .admits(true),
          .unsent, .admits(true), .succeed, .admits(true),
        ], [.opened, .closed]
      ),
      // An answer to what was sent before it opened.
      (
        Array(repeating: .fail, count: 12) + [.admits(false), .succeed, .admits(true), .fail, .admits(true)],
        [.opened, .closed]
      ),
    ]
    for (number, (steps, expected)) in tables.enumerated() {
      var breaker = CircuitBreaker()
      var now = Instant.zero
      var changes: [CircuitBreaker.Change?] = []
      for step in steps {
        switch step {
        case .fail: changes.append(breaker.noteFailure(at: now))
        case .succeed: changes.append(breaker.noteSuccess())
        case .unsent: breaker.noteUnsent(at: now)
        case .wait(let milliseconds): now = now + .milliseconds(milliseconds)
        case .admits(let expected): #expect(breaker.admits(at: now) == expected, "table \(number)")
        }
      }
      #expect(changes.compactMap { $0 } == expected, "table \(number)")
    }
  }

  @Test("a question for which there is no place is undecided, and counted")
  func tooMany() {
    let calls = BackendCalls(timeout: .seconds(3), post: { $3(.failure(.tooManyRequests)) }, now: { .zero }) { _ in }
    let backend = Backend(questions: calls, requests: calls, defaultRooms: nil, clock: { 0 })
    var (refusals, undecided) = (0, 0)
    backend.tooManyQuestions = { refusals += 1 }
    let question = ConnectQuestion(transport: .websocket, address: [], identity: nil, headers: [])
    for _ in 0..<20 { backend.decide(question) { if case .unavailable = $0 { undecided += 1 } } }
    #expect(refusals == 20 && undecided == 20 && !calls.isPaused)
  }

  @Test("calls count what became of them; a client that asks for what does not exist opens no breaker")
  func calls() {
    var answers: [Result<TransferAnswer, TransferFault>] = []
    var notices: [BackendCalls.Notice] = []
    var now = Instant.zero
    let calls = BackendCalls(timeout: .seconds(3), post: { $3(answers.removeFirst()) }, now: { now }) {
      notices.append($0)
    }
    func call(_ answer: Result<TransferAnswer, TransferFault>) -> Result<Bool, BackendCalls.Fault>? {
      answers = [answer]
      var result: Result<Bool, BackendCalls.Fault>?
      calls.call(
        [], of: nil, read: { (body) throws(UnusableAnswer) in try BackendAnswer.decision(body, takesData: false) }
      ) {
        result = $0.map { $0 == .allowed() }
      }
      return result
    }
    let good = TransferAnswer(status: 204, body: bytes(#"{"ok":true}"#))
    for _ in 0..<30 {
      #expect(call(.success(TransferAnswer(status: 404, body: []))) == .failure(.failed(.status(404))))
    }
    #expect(!calls.isPaused && call(.success(good)) == .success(true))
    #expect(call(.failure(.tooManyRequests)) == .failure(.tooMany))
    for _ in 0..<10 {
      guard case .failure(.failed(.unusable)) = call(.success(TransferAnswer(status: 200, body: []))) else {
        Issue.record("an empty answer was used")
        return
      }
    }
    #expect(calls.isPaused && call(.success(good)) == .failure(.paused))
    now = now + CircuitBreaker.pause
    #expect(call(.failure(.tooManyRequests)) == .failure(.tooMany))
    #expect(call(.success(good)) == .success(true) && !calls.isPaused)
    #expect(calls.counts == BackendCalls.Counts(answered: 2, failed: 40, skipped: 3))
    // Each kind of failure has a line of its own.
    #expect(notices.count == 4 && notices.last == .closed)
    #expect(notices.first == .failed("its status is 404"))
  }
}
