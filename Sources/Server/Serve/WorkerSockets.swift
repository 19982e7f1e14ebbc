import LoopCore
import Settings

/// The listening sockets of all workers, a set for each. The supervisor makes and keeps them, so that the kernel gives the
/// ports to one program only.
///
/// Sockets that share a port (SO_REUSEPORT) would let a second supervisor in without a word. So each port is first bound
/// unshared and listened on, which the kernel allows once, and only then shared with the sockets of the other workers. At
/// least one socket of each port listens from then on, so that a port which is bound unshared, as every start does,
/// is refused. Confined to the thread that created it.
final class WorkerSockets {
  private var sockets: [[(role: ListenerRole, socket: BoundSocket)]]

  /// Takes the ports. Throws when one is taken already.
  init(_ plan: ListenPlan, workers: Int) throws(ListenFault) {
    sockets = Array(repeating: [], count: workers)
    for (entry, first) in try plan.open() {
      do throws(SystemError) {
        try first.listen()
        first.share()
        sockets[0].append((entry.role, first))
        for worker in 1..<max(1, workers) { sockets[worker].append((entry.role, try first.twin())) }
      } catch {
        throw plan.fault(error, entry, port: first.port)
      }
    }
  }

  /// The port of a role; nil when there is none.
  func port(_ role: ListenerRole) -> UInt16? { sockets[0].first { $0.role == role }?.socket.port }

  /// What one worker inherits.
  func inherited(by worker: Int) -> [(role: ListenerRole, socket: BoundSocket)] { sockets[worker] }

  /// Ends the sockets of a worker that has ended, and makes others for the next in its place: what waited for it is reset, and
  /// nothing waits for it until it is there. Only when no other worker listens do connections wait, so that the port stays
  /// taken.
  func renew(_ worker: Int) throws(SystemError) {
    for place in sockets[worker].indices {
      let old = sockets[worker][place].socket
      let fresh = try old.twin()
      // A worker that has ended for good has none.
      let isKeptByOthers = sockets.indices.contains {
        $0 != worker && sockets[$0].indices.contains(place) && sockets[$0][place].socket.isListening
      }
      if !isKeptByOthers { try fresh.listen() }
      sockets[worker][place].socket = fresh
      old.end()
    }
  }

  /// Ends the sockets of a worker that has ended and is not started again.
  func end(_ worker: Int) {
    for (_, socket) in sockets[worker] { socket.end() }
    sockets[worker] = []
  }
}
