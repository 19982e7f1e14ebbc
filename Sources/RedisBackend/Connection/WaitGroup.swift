/// Waits for several answers; answers once, with whether all were good, and at once when there are none to wait for.
final class WaitGroup {
  private var left: Int
  private var isComplete = true
  private let done: (Bool) -> Void

  init(_ count: Int, _ done: @escaping (Bool) -> Void) {
    left = count
    self.done = done
    if count == 0 { done(true) }
  }

  func one(_ isGood: Bool) {
    isComplete = isComplete && isGood
    left -= 1
    if left == 0 { done(isComplete) }
  }
}
