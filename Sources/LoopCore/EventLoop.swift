import CSystem
import Glibc
import TimeCore

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let read = Readiness(rawValue: EPOLLIN.rawValue)
  public static let write = Readiness(rawValue: EPOLLOUT.rawValue)
  /// The peer has closed its sending side.
  public static let readHangUp = Readiness(rawValue: EPOLLRDHUP.rawValue)
  /// The connection is gone in both directions, or failed. Always reported, never asked for.
  public static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue)
  /// Only asked for: tell each time that something comes, not as long as it is there.
  public static let edge = Readiness(rawValue: EPOLLET.rawValue)
}

/// Receives the events of the descriptors that were registered in its name.
public protocol EventHandler: AnyObject {
  /// Tells that a descriptor is ready. `token` is what `EventLoop.watch` was given (its low 48 bits).
  func ready(_ token: UInt64, _ readiness: Readiness)
}

/// Takes part in the end of every tick, where what the tick has produced is written out.
public protocol TickParticipant: AnyObject {
  /// Writes what this tick produced. Called once per tick, in the order of registration.
  func tickEnds()
}

/// One epoll instance, its timers and its thread: everything of a node happens here.
///
/// A tick is: wait, dispatch all ready descriptors, fire due timers, then `tickEnds` of every participant. Work that
/// is gathered during a tick leaves in one write at its end. Confined to the thread that created it.
public final class EventLoop {
  /// Names a handler inside the epoll data word.
  public struct HandlerID: Sendable { let index: UInt16 }

  /// Names a timer that can be cancelled.
  public struct TimerID: Sendable { let id: UInt64 }

  /// Events taken from the kernel at a time: more wait for the next tick, so that no burst starves the timers, and what a
  /// tick calls for leaves while its connections are still in the processor's cache. With 512, a thousand busy rooms cost a
  /// fifth more; with 64, a room in which hundreds speak has smaller batches.
  private static let eventsPerTickMax = 128

  private let epoll: Int32
  private let events: UnsafeMutablePointer<epoll_event>
  private var handlers: [any EventHandler] = []
  private var participants: [any TickParticipant] = []
  private var timers = TimerQueue()
  private var isStopping = false
  private var wantsTick = false

  /// The monotonic clock at the start of this tick, in nanoseconds.
  public private(set) var now: UInt64

  /// The monotonic clock at the start of this tick.
  public var instant: Instant { Instant(nanoseconds: now) }

  /// Makes a loop. Throws when the kernel refuses an epoll descriptor.
  public init() throws(SystemError) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard epoll >= 0 else { throw SystemError("epoll_create1") }
    events = .allocate(capacity: EventLoop.eventsPerTickMax)
    now = Clock.monotonicNanoseconds()
  }

  deinit {
    Glibc.close(epoll)
    events.deallocate()
  }

  /// Adds a handler. It is kept for the life of the loop.
  public func attach(_ handler: any EventHandler) -> HandlerID {
    handlers.append(handler)
    return HandlerID(index: UInt16(handlers.count - 1))
  }

  /// Adds a participant at the end of the order. It is kept for the life of the loop.
  public func attach(tick participant: any TickParticipant) { participants.append(participant) }

  /// Starts to watch a descriptor. `token` (48 bits) comes back with each event.
  public func watch(
    _ descriptor: Int32, for interest: Readiness, handler: HandlerID, token: UInt64
  ) throws(SystemError) {
    guard control(EPOLL_CTL_ADD, descriptor, interest, handler, token) else { throw SystemError("epoll_ctl add") }
  }

  /// Changes what a watched descriptor is watched for.
  public func change(_ descriptor: Int32, to interest: Readiness, handler: HandlerID, token: UInt64) {
    _ = control(EPOLL_CTL_MOD, descriptor, interest, handler, token)
  }

  /// Watches a descriptor no longer. It stays open.
  public func unwatch(_ descriptor: Int32) { epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil) }

  /// Runs `action` once, after `milliseconds`.
  @discardableResult
  public func after(milliseconds: Int, _ action: @escaping () -> Void) -> TimerID {
    TimerID(id: timers.add(at: now &+ UInt64(max(0, milliseconds)) &* 1_000_000, action))
  }

  /// Runs `action` once, after `interval`.
  @discardableResult
  public func after(_ interval: Interval, _ action: @escaping () -> Void) -> TimerID {
    TimerID(id: timers.add(at: (instant + max(.zero, interval)).nanoseconds, action))
  }

  /// Keeps a timer from firing; one that has fired is not there any more.
  public func cancel(_ timer: TimerID) { timers.cancel(timer.id) }

  /// Asks for another tick right after this one: something was produced behind its participant's turn.
  public func tickAgain() { wantsTick = true }

  /// Ends `run` after the current tick.
  public func stop() { isStopping = true }

  /// Releases handlers, participants and timers, which often keep the loop. Called by its owner when nothing on it runs any
  /// more; the loop must not be used afterwards.
  public func close() {
    handlers = []
    participants = []
    timers = TimerQueue()
  }

  /// Runs until `stop`.
  public func run() {
    isStopping = false
    while !isStopping { tick(waitMillisecondsMax: -1) }
  }

  /// Runs one tick, waiting at most `waitMillisecondsMax` (-1: until something happens).
  public func tick(waitMillisecondsMax: Int32) {
    let wait = timeout(atMost: waitMillisecondsMax)
    wantsTick = false
    let count = epoll_wait(epoll, events, Int32(EventLoop.eventsPerTickMax), wait)
    now = Clock.monotonicNanoseconds()
    if count > 0 {
      for i in 0..<Int(count) {
        let data = events[i].data.u64
        handlers[Int(data >> 48)].ready(data & 0xFFFF_FFFF_FFFF, Readiness(rawValue: events[i].events))
      }
    }
    while let action = timers.popDue(at: now) { action() }
    for participant in participants { participant.tickEnds() }
  }

  private func timeout(atMost limit: Int32) -> Int32 {
    if wantsTick { return 0 }
    guard let earliest = timers.earliest else { return limit }
    let current = Clock.monotonicNanoseconds()
    guard earliest > current else { return 0 }
    // Rounded up: a timer that fires early would spin until its time.
    let milliseconds = Int32(min((earliest - current + 999_999) / 1_000_000, 60_000))
    return limit < 0 ? milliseconds : min(limit, milliseconds)
  }

  private func control(
    _ operation: Int32, _ descriptor: Int32, _ interest: Readiness, _ handler: HandlerID, _ token: UInt64
  ) -> Bool {
    var event = epoll_event()
    event.events = interest.rawValue
    event.data.u64 = UInt64(handler.index) << 48 | (token & 0xFFFF_FFFF_FFFF)
    return epoll_ctl(epoll, operation, descriptor, &event) == 0
  }
}

@available(*, unavailable)
extension EventLoop: Sendable {}
