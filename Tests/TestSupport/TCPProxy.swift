import Glibc
import Synchronization

/// Stands between clients and a server of this machine and does to their bytes what bad networks do.
///
/// A thread of its own carries the bytes; every order has taken effect when its call returns. Without orders all bytes
/// pass at once. Ends with the object.
package final class TCPProxy: Sendable {
  package enum Direction: Int, Sendable, CaseIterable { case toServer, toClient }

  /// What is done to the bytes of one direction.
  package enum Treatment: Sendable, Equatable {
    case pass
    /// Everything arrives so much later, in order.
    case delay(milliseconds: Int)
    /// Nothing is read: it waits in the kernel, as behind a cut cable, and comes through when the treatment ends.
    case hold
    /// Everything is lost, the end of the connection too. The other direction goes on: half a connection.
    case swallow
    /// Whatever is read in one piece and holds this text is lost.
    case swallowPieces(with: String)
    /// So many bytes pass, then the connection is reset: in the middle of a command if need be.
    case cut(afterBytes: Int)
  }

  package let port: UInt16
  private let orders: ProxyOrders

  /// Listens on a free port and connects whoever comes to `server` on this machine.
  package init(to server: UInt16) throws {
    let (listener, port) = try TCPProxy.listen()
    self.port = port
    orders = try ProxyOrders(server: server)
    let worker = ProxyWorker(listener: listener, orders: orders)
    var thread = pthread_t()
    // Safe because the thread takes over the reference that is retained for it here.
    let code = pthread_create(
      &thread, nil,
      { argument in
        // Safe because the argument is the worker that was retained for this thread.
        Unmanaged<ProxyWorker>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(worker).toOpaque())
    guard code == 0 else { throw TestFailure("no thread: errno \(code)") }
    pthread_detach(thread)
  }

  deinit { orders.give { $0.isEnding = true } }

  /// Treats one direction of the connections that were opened or will be.
  ///
  /// - Parameter said: only the connections whose client has sent this text so far; nil: all. Of several orders that
  ///   fit, the last counts.
  package func treat(_ direction: Direction, _ treatment: Treatment, said: String? = nil) {
    orders.give { state in
      state.rules.removeAll { $0.direction == direction && $0.said == said.map { Array($0.utf8) } }
      state.rulesGiven += 1
      state.rules.append(
        ProxyRule(
          number: state.rulesGiven, direction: direction, said: said.map { Array($0.utf8) }, treatment: treatment))
    }
  }

  /// Lets all bytes pass again, on old connections and on new ones.
  package func heal() { orders.give { $0.rules = [] } }

  /// Resets connections on both sides.
  ///
  /// - Parameter said: only those whose client has sent this text so far; nil: all.
  package func cut(said: String? = nil) { orders.give { $0.cuts.append(said.map { Array($0.utf8) }) } }

  /// Closes whoever comes, or stops to do so. Open connections stay.
  package func refuse(_ isRefusing: Bool) { orders.give { $0.isRefusing = isRefusing } }

  /// Connects whoever comes from now on to another server.
  package func lead(to server: UInt16) { orders.give { $0.server = server } }

  /// Open connections.
  package var connectionCount: Int { orders.state.withLock { $0.connections } }

  /// Connections taken since the start.
  package var connectionsTotal: Int { orders.state.withLock { $0.connectionsTotal } }

  /// Bytes of a direction that were lost here.
  package func swallowedBytes(_ direction: Direction) -> Int {
    orders.state.withLock { $0.swallowed[direction.rawValue] }
  }

  private static func listen() throws -> (Int32, UInt16) {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let listener = socket(AF_INET, type, 0)
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // Safe because sockaddr_in begins with the fields of sockaddr, and the pointer does not outlive the call.
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        SocketAddress.loopback(0) { bind(listener, $0, $1) } | Glibc.listen(listener, 256)
          | getsockname(listener, pointer, &length)
      }
    }
    guard listener >= 0, code == 0 else { throw TestFailure("cannot listen: errno \(errno)") }
    return (listener, UInt16(bigEndian: address.sin_port))
  }
}

/// What a proxy has been told, shared by its owner and its thread.
final class ProxyOrders: Sendable {
  struct State {
    var rules: [ProxyRule] = []
    var rulesGiven = 0
    var cuts: [[UInt8]?] = []
    var isRefusing = false
    var isEnding = false
    var server: UInt16
    /// Orders given, and those that the thread has seen.
    var given = 0
    var seen = 0
    var connections = 0
    var connectionsTotal = 0
    var swallowed = [0, 0]
  }

  let state: Mutex<State>
  /// A pipe that wakes the thread.
  let wakeReading: Int32
  private let wakeWriting: Int32

  init(server: UInt16) throws {
    var ends: [Int32] = [-1, -1]
    let isMade = Spawn.lock.withLock { _ in
      Glibc.pipe(&ends) == 0
        && ends.allSatisfy { fcntl($0, F_SETFD, FD_CLOEXEC) == 0 && fcntl($0, F_SETFL, O_NONBLOCK) == 0 }
    }
    guard isMade else { throw TestFailure("no pipe: errno \(errno)") }
    (wakeReading, wakeWriting) = (ends[0], ends[1])
    state = Mutex(State(server: server))
  }

  deinit {
    close(wakeReading)
    close(wakeWriting)
  }

  /// Gives an order and waits until the thread has carried it out.
  func give(_ order: (inout State) -> Void) {
    let number = state.withLock { state in
      order(&state)
      state.given += 1
      return state.given
    }
    var byte: UInt8 = 0
    _ = write(wakeWriting, &byte, 1)
    let deadline = Deadline(within: 5)
    while state.withLock({ $0.seen < number }), deadline.millisecondsLeft > 0 { usleep(200) }
  }
}

/// One treatment and whom it is for.
struct ProxyRule: Sendable {
  let number: Int
  let direction: TCPProxy.Direction
  let said: [UInt8]?
  let treatment: TCPProxy.Treatment
}
