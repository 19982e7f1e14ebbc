import LoopCore

/// What a worker has from its supervisor: its place among the workers, its listening sockets, and the end of a pipe that
/// ends with the supervisor.
public struct Worker {
  /// The environment variables by which a supervisor names a worker's place.
  enum Variable {
    static let index = "ROOST_WORKER_INDEX"
    static let count = "ROOST_WORKER_COUNT"
    static let page = "ROOST_WORKER_PAGE"
    static let sockets = "ROOST_WORKER_SOCKETS"
    static let parent = "ROOST_WORKER_PARENT"

    static let all = [index, count, page, sockets, parent]
  }

  let page: WorkerPage
  let sockets: [(role: ListenerRole, socket: BoundSocket)]
  /// The reading end of a pipe whose other end only the supervisor has.
  let parent: Int32

  /// Reads what the supervisor left in the environment; nil when there is no supervisor.
  public static func inherited(_ environment: [String: String]) -> Worker? {
    guard let index = environment[Variable.index].flatMap(Int.init),
      let count = environment[Variable.count].flatMap(Int.init),
      let descriptor = environment[Variable.page].flatMap(Int32.init), (0..<count).contains(index),
      let parent = environment[Variable.parent].flatMap(Int32.init),
      let sockets = environment[Variable.sockets].flatMap(parse),
      let page = WorkerPage(index: index, count: count, descriptor: descriptor)
    else { return nil }
    return Worker(page: page, sockets: sockets, parent: parent)
  }

  /// Writes sockets as `ROLE:DESCRIPTOR,…`.
  static func text(_ sockets: [(role: ListenerRole, socket: BoundSocket)]) -> String {
    sockets.map { "\($0.role.rawValue):\($0.socket.descriptor)" }.joined(separator: ",")
  }

  private static func parse(_ text: String) -> [(role: ListenerRole, socket: BoundSocket)]? {
    var sockets: [(role: ListenerRole, socket: BoundSocket)] = []
    for part in text.split(separator: ",") {
      let numbers = part.split(separator: ":")
      guard numbers.count == 2, let role = UInt8(numbers[0]).flatMap(ListenerRole.init(rawValue:)),
        let descriptor = Int32(numbers[1])
      else { return nil }
      sockets.append((role, BoundSocket(adopting: descriptor)))
    }
    return sockets
  }
}
