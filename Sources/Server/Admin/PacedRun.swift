/// Does many things in their order without waiting for each one, and without taking the loop or the memory for itself: a few
/// of them are under way at a time, and after some the loop serves others first. Confined to the loop that created it.
final class PacedRun {
  /// Steps under way at a time: enough that a round trip to Redis is not what limits them.
  static let underWayMax = 64
  /// Bytes under way at a time: what they put into the buffers of the connections to Redis.
  static let bytesUnderWayMax = 1024 * 1024
  /// Steps begun before the loop serves others.
  static let stepsPerTurn = 256

  private let count: Int
  private let after: (_ milliseconds: Int, _ action: @escaping () -> Void) -> Void
  private let byteCount: (Int) -> Int
  private let step: (Int, _ finished: @escaping () -> Void) -> Bool
  private let done: () -> Void
  private var next = 0
  private var underWay = 0
  private var bytesUnderWay = 0
  private var finishedCount = 0
  private var isAdvancing = false
  /// The step that must finish before the next one begins.
  private var barrier: Int?

  /// Begins a run, which lives until it is done.
  ///
  /// - Parameters:
  ///   - count: how many steps there are; at least one.
  ///   - after: runs something after so many milliseconds.
  ///   - byteCount: how many bytes a step takes while it is under way.
  ///   - step: begins a step, and returns whether the next one is to wait for its end; `finished` is called once, at once or
  ///     later.
  ///   - done: called once, when every step has finished.
  static func start(
    count: Int, after: @escaping (_ milliseconds: Int, _ action: @escaping () -> Void) -> Void,
    byteCount: @escaping (Int) -> Int, step: @escaping (Int, _ finished: @escaping () -> Void) -> Bool,
    done: @escaping () -> Void
  ) {
    PacedRun(count, after, byteCount, step, done).advance()
  }

  private init(
    _ count: Int, _ after: @escaping (_ milliseconds: Int, _ action: @escaping () -> Void) -> Void,
    _ byteCount: @escaping (Int) -> Int, _ step: @escaping (Int, _ finished: @escaping () -> Void) -> Bool,
    _ done: @escaping () -> Void
  ) {
    self.count = count
    self.after = after
    self.byteCount = byteCount
    self.step = step
    self.done = done
  }

  private func advance() {
    guard !isAdvancing else { return }
    isAdvancing = true
    var turn = 0
    while next < count, barrier == nil, underWay < PacedRun.underWayMax,
      underWay == 0 || bytesUnderWay < PacedRun.bytesUnderWayMax
    {
      // Still advancing until then: what finishes meanwhile begins nothing.
      guard turn < PacedRun.stepsPerTurn else { return after(0) { self.continueAdvancing() } }
      turn += 1
      begin(next)
    }
    isAdvancing = false
  }

  private func continueAdvancing() {
    isAdvancing = false
    advance()
  }

  private func begin(_ index: Int) {
    let bytes = byteCount(index)
    next += 1
    underWay += 1
    bytesUnderWay += bytes
    var isFinished = false
    let isBarrier = step(index) { [self] in
      isFinished = true
      if barrier == index { barrier = nil }
      underWay -= 1
      bytesUnderWay -= bytes
      finishedCount += 1
      if finishedCount == count { done() } else { advance() }
    }
    if isBarrier, !isFinished { barrier = index }
  }
}
