import LoopCore
import Realtime
import TimeCore
import Transfers

/// What was delivered, and what waits.
public struct DeliveryCounters: Sendable {
  /// Events that the receiver has taken.
  public var delivered: UInt64 = 0
  /// Posts that were not answered with 2xx; their events are posted again.
  public var failed: UInt64 = 0
  /// Events that were given up: too many waited, or they waited too long.
  public var dropped: UInt64 = 0
  /// Events that wait, as far as this node delivers them.
  public var waiting = 0
  /// Milliseconds that the oldest of these has waited.
  public var ageMilliseconds = 0
  /// From a post to its answer, or to its failure.
  public var posts = DurationHistogram(bounds: DurationHistogram.answerBounds)
}

/// Posts the events of one source, one post after the other, so that they arrive in their order: each until it was answered
/// with 2xx, or the source drops it. Confined to the loop's thread.
public final class WebhookDeliverer {
  private enum Phase {
    case idle, taking, posting, pausing, ended
  }

  /// What has been counted.
  public private(set) var counters = DeliveryCounters()
  /// Called when the receiver begins to fail, with the reason, and when it is back, with nil.
  public var stateChanged: (_ problem: String?) -> Void = { _ in }

  private let loop: EventLoop
  private let client: WebhookClient
  private let source: any RoomEventSource
  private let batchMax: Int
  private var phase = Phase.idle
  /// Events that were delivered and that the source does not know of yet.
  private var delivered: [[UInt8]] = []
  private var backoff = DeliveryBackoff()
  /// Called when the post under way has ended, and with it this deliverer; nil: it goes on.
  private var ending: (() -> Void)?
  /// Whether another process delivers the events, as far as is known.
  private var isElsewhere = false

  /// - Parameter batchMax: events in one post; above 1 every post is an array.
  public init(_ loop: EventLoop, client: WebhookClient, source: any RoomEventSource, batchMax: Int) {
    (self.loop, self.client, self.source, self.batchMax) = (loop, client, source, batchMax)
  }

  /// Begins to deliver. A source that other processes share is asked again and again.
  public func start() {
    guard source.isShared else { return }
    poll()
    keepLease()
  }

  /// Delivers what there is, unless that is going on.
  public func wake() {
    guard phase == .idle else { return }
    phase = .taking
    source.take(delivered: delivered, limit: batchMax) { [weak self] in self?.took($0) }
  }

  /// Whether nothing waits and nothing is on its way.
  public var isIdle: Bool { phase == .idle || phase == .ended }

  /// Ends delivering after the post that is under way, so that no other process repeats it: what waits stays where it is.
  public func stop(_ done: @escaping () -> Void = {}) {
    guard phase != .ended else { return done() }
    if phase == .posting { ending = done } else { end(done) }
  }

  private func end(_ done: @escaping () -> Void) {
    phase = .ended
    guard !delivered.isEmpty else {
      source.release()
      return done()
    }
    source.take(delivered: delivered, limit: 0) { [source] _ in
      source.release()
      done()
    }
  }

  private func poll() {
    guard phase != .ended else { return }
    wake()
    let wait = isElsewhere ? WebhookLimits.takeoverPollMilliseconds : WebhookLimits.pollMilliseconds
    loop.after(.milliseconds(wait)) { [weak self] in self?.poll() }
  }

  /// Keeps the lease while a post or a pause takes long.
  private func keepLease() {
    guard phase != .ended else { return }
    if phase == .posting || phase == .pausing {
      source.take(delivered: [], limit: 0) { [weak self] answer in
        if case .page(let page) = answer { self?.count(page) }
      }
    }
    loop.after(.milliseconds(WebhookLimits.leaseRenewalMilliseconds)) { [weak self] in self?.keepLease() }
  }

  private func count(_ page: RoomEventPage) {
    counters.dropped += UInt64(page.dropped)
    (counters.waiting, counters.ageMilliseconds) = (page.waiting, page.ageMilliseconds)
  }

  private func took(_ answer: RoomEventAnswer) {
    guard phase != .ended else { return }
    phase = .idle
    switch answer {
    case .unavailable: break
    case .elsewhere:
      delivered = []
      isElsewhere = true
      (counters.waiting, counters.ageMilliseconds) = (0, 0)
    case .page(let page):
      delivered = []
      isElsewhere = false
      count(page)
      if !page.events.isEmpty { post(WebhookDeliverer.prefix(of: page.events)) }
    }
  }

  /// As many events as fit one post, and one at least.
  private static func prefix(of events: [[UInt8]]) -> [[UInt8]] {
    var bytes = 0
    let end = events.firstIndex { event in
      bytes += event.count + 1
      return bytes > WebhookLimits.batchBytesMax && bytes > event.count + 1
    }
    return Array(events[..<(end ?? events.count)])
  }

  private func post(_ events: [[UInt8]]) {
    phase = .posting
    let list = Array(events.joined(separator: [UInt8(ascii: ",")]))
    let body = batchMax == 1 ? list : [UInt8(ascii: "[")] + list + [UInt8(ascii: "]")]
    let began = loop.now
    client.post(body, keepsBody: false, traces: events.compactMap(EventText.trace(of:))) { [weak self] result in
      guard let self else { return }
      counters.posts.observe(nanoseconds: loop.now &- began)
      answered(result, events)
    }
  }

  private func answered(_ result: Result<TransferAnswer, TransferFault>, _ events: [[UInt8]]) {
    guard phase != .ended else { return }
    switch result {
    case .success(let response) where response.isSuccess:
      counters.delivered += UInt64(events.count)
      if backoff.attempts > 0 { stateChanged(nil) }
      backoff.reset()
      delivered = events
      phase = .idle
      if !endsNow() { wake() }
    case .success(let response): failed("it answered with status \(response.status)")
    case .failure(let fault): failed(fault.description)
    }
  }

  /// Ends, if that was asked for while a post was under way.
  private func endsNow() -> Bool {
    guard let ending else { return false }
    self.ending = nil
    end(ending)
    return true
  }

  private func failed(_ problem: String) {
    counters.failed += 1
    if backoff.attempts == 0 { stateChanged(problem) }
    phase = .pausing
    guard !endsNow() else { return }
    loop.after(backoff.next(random: .random(in: 0...1))) { [weak self] in
      guard let self, phase == .pausing else { return }
      phase = .idle
      wake()
    }
  }
}

@available(*, unavailable)
extension WebhookDeliverer: Sendable {}
