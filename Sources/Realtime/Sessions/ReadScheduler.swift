/// What is read from the broker, and what makes two reads equal.
enum ReadKey: Hashable {
  case history(room: [UInt8], HistoryQuery, bytesMax: Int)
  /// At most `limit` users after `after`, with all their connections.
  case members(room: [UInt8], after: [UInt8]?, limit: Int)

  var room: [UInt8] {
    switch self {
    case .history(let room, _, _): room
    case .members(let room, _, _): room
    }
  }
}

/// What a read brings.
enum ReadAnswer {
  case page(HistoryPage)
  case members(MemberList)
}

/// On whose behalf something is read.
enum ReadOwner: Hashable {
  case session(SlabID)
  /// A room of this node that recovers.
  case room(ObjectIdentifier)
  /// A request without a session: an operation, or a poll.
  case request(ObjectIdentifier)
  /// The admin endpoint.
  case admin
}

/// Decides when large reads of the broker begin: one at a time for each owner, a few for the node, in turns between
/// owners and in order for each of them. Equal reads share one. Knows no broker and no clock; confined to its hub's loop.
final class ReadScheduler {
  /// A read that is asked for.
  struct Request {
    /// Whether the bytes that its session has read before may delay it.
    var isDelayedByDebt = false
    /// Whether its answer goes to a request, and so needs no room in the connection's queue.
    var isForRequest = false
    /// Whether its answer may be one that another owner's read brings.
    var isShared = true
    /// Makes the key when the read is about to begin, or nil when it is not needed any more.
    let key: () -> ReadKey?
    /// Takes the answer; nil: it was never read, because its owner has gone.
    let finish: (Result<ReadAnswer, BrokerError>?) -> Void
  }

  typealias Reply = (Result<ReadAnswer, BrokerError>) -> Void

  private struct Line {
    enum State {
      /// Stands in the rotation.
      case listed
      /// Waits for an answer.
      case reading
      /// Waits for `unpark`.
      case parked
    }

    var state = State.listed
    var requests: [Request] = []
  }

  /// A read under way, and those who wait for it.
  private struct Flight {
    let number: UInt64
    let key: ReadKey
    /// Whether others may still share it: nothing has changed since it began.
    var isOpen: Bool
    var waiting: [(owner: ReadOwner, finish: (Result<ReadAnswer, BrokerError>?) -> Void)]
  }

  /// An answer that was read, and who is to have it.
  private struct Landed {
    let owner: ReadOwner
    let finish: (Result<ReadAnswer, BrokerError>?) -> Void
    let result: Result<ReadAnswer, BrokerError>
  }

  private let flightsMax: Int
  private let answeredAtOnceMax: Int
  private let answeredBytesMax: Int
  /// Reads, and answers at once or later, exactly once. Set before the first request.
  var perform: (ReadKey, @escaping Reply) -> Void
  /// Whether an owner's next read may begin now; when not, `unpark` must follow once it may. Set before the first request.
  var mayStart: (ReadOwner, Request) -> Bool
  private var lines: [ReadOwner: Line] = [:]
  private var rotation: [ReadOwner] = []
  private var rotationHead = 0
  private var flights: [Flight] = []
  private var flightCount: UInt64 = 0
  private var isRunning = false
  /// Reads of this tick that were answered before the call returned, as a broker within the process does: they are never
  /// under way, so their number in a tick is bounded instead.
  private var answeredAtOnce = 0
  /// Answers that are to be given, from `landedHead` on. Hundreds may share one read, and each costs writing and compressing:
  /// what a tick gives is bounded.
  private var landed: [Landed] = []
  private var landedHead = 0
  private var isGiving = false
  /// Bytes of answers in this tick.
  private var answeredBytes = 0

  /// - Parameters:
  ///   - flightsMax: reads under way at a time.
  ///   - answeredAtOnceMax: reads of one tick that are answered before their call returns.
  ///   - answeredBytesMax: bytes of answers after which the others of a tick wait for the next one.
  ///   - perform: `perform`; it may also be set later.
  ///   - mayStart: `mayStart`; it may also be set later.
  init(
    flightsMax: Int, answeredAtOnceMax: Int, answeredBytesMax: Int = .max,
    perform: @escaping (ReadKey, @escaping Reply) -> Void = { _, reply in reply(.failure(.unavailable)) },
    mayStart: @escaping (ReadOwner, Request) -> Bool = { _, _ in true }
  ) {
    self.flightsMax = flightsMax
    self.answeredAtOnceMax = answeredAtOnceMax
    self.answeredBytesMax = answeredBytesMax
    self.perform = perform
    self.mayStart = mayStart
  }

  /// Reads under way.
  var underWay: Int { flights.count }

  /// Whether reads wait for the next tick.
  var waitsForTick: Bool {
    landedHead < landed.count || answeredAtOnce >= answeredAtOnceMax && rotationHead < rotation.count
  }

  /// Continues with what waited for the next tick.
  func tickBegins() {
    guard answeredAtOnce > 0 || answeredBytes > 0 || landedHead < landed.count else { return }
    (answeredAtOnce, answeredBytes) = (0, 0)
    giveLanded()
    run()
  }

  /// Notes how long an answer was.
  func noteAnswered(bytes: Int) { answeredBytes += bytes }

  /// Requests of an owner that have not begun.
  func waitingCount(of owner: ReadOwner) -> Int { lines[owner]?.requests.count ?? 0 }

  /// Asks for a read. It may begin, and even end, before this returns.
  func add(_ request: Request, for owner: ReadOwner) {
    if lines[owner] == nil {
      lines[owner] = Line()
      rotation.append(owner)
    }
    lines[owner]?.requests.append(request)
    run()
  }

  /// Lets an owner continue whose read was held back.
  func unpark(_ owner: ReadOwner) {
    guard lines[owner]?.state == .parked else { return }
    list(owner)
    run()
  }

  /// Drops what an owner still waits for. A read that is under way is answered all the same.
  func forget(_ owner: ReadOwner) {
    guard let line = lines.removeValue(forKey: owner) else { return }
    for request in line.requests { request.finish(nil) }
  }

  /// Notes that something changes in a room: a read that began before does not answer who asks after it.
  func seal(room: [UInt8]) {
    for index in flights.indices where flights[index].key.room == room { flights[index].isOpen = false }
  }

  private func list(_ owner: ReadOwner) {
    lines[owner]?.state = .listed
    rotation.append(owner)
  }

  private func next() -> ReadOwner? {
    guard rotationHead < rotation.count else {
      rotation.removeAll(keepingCapacity: rotation.count < 1024)
      rotationHead = 0
      return nil
    }
    if rotationHead > 1024, rotationHead * 2 > rotation.count {
      rotation.removeFirst(rotationHead)
      rotationHead = 0
    }
    defer { rotationHead += 1 }
    return rotation[rotationHead]
  }

  /// Begins what may begin. A call from inside of it only adds to what it goes through.
  private func run() {
    guard !isRunning else { return }
    isRunning = true
    defer { isRunning = false }
    while let owner = next() {
      // One that was forgotten may stand there still, and may have come back since.
      guard let line = lines[owner], line.state == .listed, let request = line.requests.first else { continue }
      guard mayStart(owner, request) else {
        lines[owner]?.state = .parked
        continue
      }
      lines[owner]?.requests.removeFirst()
      guard let key = request.key() else {
        goOn(owner)
        continue
      }
      guard begin(key, request, owner) else {
        lines[owner]?.requests.insert(request, at: 0)
        rotationHead -= 1
        return
      }
    }
  }

  /// Returns false when too many reads are under way.
  private func begin(_ key: ReadKey, _ request: Request, _ owner: ReadOwner) -> Bool {
    if request.isShared, let index = flights.firstIndex(where: { $0.isOpen && $0.key == key }) {
      flights[index].waiting.append((owner, request.finish))
      lines[owner]?.state = .reading
      return true
    }
    guard flights.count < flightsMax, answeredAtOnce < answeredAtOnceMax else { return false }
    flightCount += 1
    let number = flightCount
    flights.append(Flight(number: number, key: key, isOpen: request.isShared, waiting: [(owner, request.finish)]))
    lines[owner]?.state = .reading
    perform(key) { [weak self] in self?.land(number, $0) }
    if !flights.contains(where: { $0.number == number }) { answeredAtOnce += 1 }
    return true
  }

  private func land(_ number: UInt64, _ result: Result<ReadAnswer, BrokerError>) {
    guard let index = flights.firstIndex(where: { $0.number == number }) else { return }
    let flight = flights.remove(at: index)
    for waiting in flight.waiting {
      landed.append(Landed(owner: waiting.owner, finish: waiting.finish, result: result))
    }
    giveLanded()
    run()
  }

  /// Gives answers, as many as the tick has room for. A call from inside of it only adds to what it goes through.
  private func giveLanded() {
    guard !isGiving else { return }
    isGiving = true
    defer { isGiving = false }
    while landedHead < landed.count, answeredBytes < answeredBytesMax {
      let next = landed[landedHead]
      landedHead += 1
      if landedHead == landed.count { (landed, landedHead) = ([], 0) }
      next.finish(next.result)
      goOn(next.owner)
    }
  }

  /// An owner's read has ended, or was not needed: its next one waits for its turn.
  private func goOn(_ owner: ReadOwner) {
    guard let line = lines[owner] else { return }
    if line.requests.isEmpty { lines[owner] = nil } else { list(owner) }
  }
}
