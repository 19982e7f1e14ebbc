import LoopCore
import Settings

/// The ports that the settings ask for.
struct ListenPlan {
  /// What the connections of a port may do, its number, and the flag that sets it.
  typealias Entry = (role: ListenerRole, port: Int, flag: String)

  let host: String
  let all: [Entry]

  init(_ settings: ServerSettings) {
    host = settings.host
    var all: [Entry] = [(.main, settings.port, "--port")]
    if let port = settings.adminPort, port != settings.port { all.append((.admin, port, "--admin-port")) }
    if let port = settings.redirectPort { all.append((.redirect, port, "--redirect-port")) }
    self.all = all
  }

  /// Binds every port at every address of the host. Nobody can connect yet.
  func open() throws(ListenFault) -> [(entry: Entry, socket: BoundSocket)] {
    var sockets: [(entry: Entry, socket: BoundSocket)] = []
    for entry in all {
      do throws(ListenFault) {
        let opened = try BoundSocket.open(host: host, port: entry.port, portFlag: entry.flag)
        sockets += opened.map { (entry, $0) }
      } catch {
        for (_, socket) in sockets { socket.close() }
        throw error
      }
    }
    return sockets
  }

  /// Finds the addresses of the host as `open` does, and binds none.
  func check() throws(ListenFault) {
    for entry in all { try BoundSocket.check(host: host, port: entry.port, portFlag: entry.flag) }
  }

  /// Translates what the system said about one of the sockets.
  func fault(_ error: SystemError, _ entry: Entry, port: UInt16) -> ListenFault {
    ListenFault(error, host: host, port: Int(port), portFlag: entry.flag)
  }
}
