import CSystem
import Glibc
import LoopCore
import Settings
import TimeCore

/// A thread that keeps one connection to a RabbitMQ: it connects again with a growing delay, and does what it is given while
/// the connection is open.
///
/// `Command` comes from the loop, `Event` goes to it by a mailbox.
final class AMQPThread<Command: Sendable>: Sendable {
  /// The first step and the last of the time before the next attempt.
  private static var backoffMilliseconds: ClosedRange<Int32> { 200...5000 }
  /// A wait ends at the latest after so long: heartbeats are sent and looked for.
  private static var waitMilliseconds: Int32 { 2000 }

  private struct Box: Sendable {
    var commands: [Command] = []
    var isStopped = false
  }

  private let box = Locked(Box())
  private let event: Int32

  init() throws(SystemError) {
    event = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard event >= 0 else { throw SystemError("eventfd") }
  }

  deinit { close(event) }

  /// Gives the thread something to do. Any thread may call.
  func post(_ command: Command) {
    box.withLock { $0.commands.append(command) }
    wake()
  }

  func stop() {
    box.withLock { $0.isStopped = true }
    wake()
  }

  private func wake() {
    var one: UInt64 = 1
    _ = write(event, &one, 8)
  }

  /// What is to be done.
  func take() -> [Command] {
    box.withLock { box in
      defer { box.commands = [] }
      return box.commands
    }
  }

  var isStopped: Bool { box.withLock { $0.isStopped } }

  /// Waits until the connection has something, or a command comes. A descriptor of -1 is not waited for.
  func wait(_ descriptor: Int32, milliseconds: Int32 = AMQPThread.waitMilliseconds) {
    var entries = [
      pollfd(fd: event, events: Int16(POLLIN), revents: 0), pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
    ]
    poll(&entries, 2, milliseconds)
    var count: UInt64 = 0
    _ = read(event, &count, 8)
  }

  /// Runs on the helper thread until `stop`.
  ///
  /// - Parameters:
  ///   - serve: uses a connection until it throws or the thread is stopped; calls `ready` once it works.
  ///   - failed: gets why a connection did not come or has ended.
  func run(
    _ bridge: BridgeSettings, serve: (AMQPConnection, _ ready: () -> Void) throws(BridgeFault) -> Void,
    failed: (BridgeFault) -> Void
  ) {
    let hosts = bridge.url?.hosts ?? []
    var (attempt, delay) = (0, Self.backoffMilliseconds.lowerBound)
    while !isStopped, !hosts.isEmpty {
      do throws(BridgeFault) {
        let connection = try AMQPConnection(bridge, host: hosts[attempt % hosts.count])
        try serve(connection) { delay = Self.backoffMilliseconds.lowerBound }
        connection.close()
      } catch {
        failed(error)
      }
      attempt += 1
      guard !isStopped else { return }
      let until = Clock.instant() + .milliseconds(Int(delay))
      while !isStopped, Clock.instant() < until {
        // Commands wait for the next connection, or were answered by `failed`.
        wait(-1, milliseconds: Int32(max(1, (until - Clock.instant()).milliseconds)))
      }
      delay = min(delay * 2, Self.backoffMilliseconds.upperBound)
    }
  }
}
