import Glibc

/// The thread of a proxy: waits, accepts, carries bytes. Confined to that thread.
final class ProxyWorker {
  private let listener: Int32
  private let orders: ProxyOrders
  private var connections: [ProxyConnection] = []

  init(listener: Int32, orders: ProxyOrders) {
    self.listener = listener
    self.orders = orders
  }

  deinit { close(listener) }

  /// Works until the order to end.
  func run() {
    var isEnding = false
    while !isEnding {
      wait()
      accept()
      let (rules, ends) = obey()
      isEnding = ends
      for connection in connections { report(connection.carry(rules)) }
      connections.removeAll { connection in
        if connection.isOver { connection.close(reset: false) }
        return connection.isOver
      }
      acknowledge()
    }
    for connection in connections { connection.close(reset: true) }
  }

  /// Sleeps until something can be done.
  private func wait() {
    var entries = [
      pollfd(fd: orders.wakeReading, events: Int16(POLLIN), revents: 0),
      pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
    ]
    var timeout: Int32 = 1000
    for connection in connections { connection.wishes(&entries, &timeout) }
    poll(&entries, nfds_t(entries.count), timeout)
    var drained = [UInt8](repeating: 0, count: 256)
    while read(orders.wakeReading, &drained, drained.count) > 0 {}
  }

  private func accept() {
    while true {
      let client = Glibc.accept(listener, nil, nil)
      guard client >= 0 else { return }
      let (isRefusing, server) = orders.state.withLock { ($0.isRefusing, $0.server) }
      guard !isRefusing, let connection = ProxyConnection(client: client, server: server) else {
        close(client)
        continue
      }
      connections.append(connection)
      orders.state.withLock { $0.connectionsTotal += 1 }
    }
  }

  private var seen = 0

  private func obey() -> (rules: [ProxyRule], isEnding: Bool) {
    let (rules, cuts, isEnding, given) = orders.state.withLock { state in
      defer { state.cuts = [] }
      return (state.rules, state.cuts, state.isEnding, state.given)
    }
    seen = given
    for cut in cuts {
      for connection in connections where connection.hasSaid(cut) { connection.close(reset: true) }
    }
    connections.removeAll(where: \.isOver)
    return (rules, isEnding)
  }

  private func acknowledge() {
    orders.state.withLock { state in
      state.seen = seen
      state.connections = connections.count
    }
  }

  private func report(_ swallowed: [Int]) {
    guard swallowed != [0, 0] else { return }
    orders.state.withLock { state in for i in 0..<2 { state.swallowed[i] += swallowed[i] } }
  }
}

/// A client, its server, and the bytes between them.
final class ProxyConnection {
  /// One direction: where it reads, where it writes, what is on its way.
  private struct Pipe {
    let source: Int32
    let sink: Int32
    var waiting: [(due: UInt64, bytes: [UInt8])] = []
    var waitingBytes = 0
    var hasEnded = false
    var hasToldEnd = false
    /// What was last done to it, and the bytes that passed since.
    var treatment = TCPProxy.Treatment.pass
    var rule = 0
    var passed = 0
    var isBlocked = false
  }

  /// Bytes on their way beyond which nothing more is read.
  private static let waitingBytesMax = 1 << 20
  /// Bytes of a client that are remembered to tell which connection it is.
  private static let rememberedBytesMax = 16 << 10

  private var pipes: [Pipe]
  private var said: [UInt8] = []
  private(set) var isOver = false

  init?(client: Int32, server: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0, SocketAddress.loopback(server, { connect(descriptor, $0, $1) }) == 0 else {
      if descriptor >= 0 { Glibc.close(descriptor) }
      return nil
    }
    for socket in [client, descriptor] {
      var one: Int32 = 1
      setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
      _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
      _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL, 0) | O_NONBLOCK)
    }
    pipes = [Pipe(source: client, sink: descriptor), Pipe(source: descriptor, sink: client)]
  }

  /// Whether the client has sent this text so far; nil fits every connection.
  func hasSaid(_ text: [UInt8]?) -> Bool { text.map { said.contains($0) } ?? true }

  /// Adds what it waits for.
  func wishes(_ entries: inout [pollfd], _ timeout: inout Int32) {
    for pipe in pipes {
      if !pipe.hasEnded, pipe.treatment != .hold, pipe.waitingBytes < ProxyConnection.waitingBytesMax {
        entries.append(pollfd(fd: pipe.source, events: Int16(POLLIN), revents: 0))
      }
      if pipe.isBlocked { entries.append(pollfd(fd: pipe.sink, events: Int16(POLLOUT), revents: 0)) }
      if let first = pipe.waiting.first, !pipe.isBlocked {
        let now = Deadline.now()
        timeout = min(timeout, first.due > now ? Int32(min((first.due - now) / 1_000_000 + 1, 1000)) : 0)
      }
    }
  }

  /// Moves what can be moved. Returns the bytes that were lost in each direction.
  func carry(_ rules: [ProxyRule]) -> [Int] {
    var lost = [0, 0]
    for direction in TCPProxy.Direction.allCases where !isOver {
      lost[direction.rawValue] = read(direction, rules)
      if !isOver { write(direction) }
    }
    if pipes.allSatisfy({ $0.hasToldEnd }) { isOver = true }
    return lost
  }

  private func adopt(_ direction: TCPProxy.Direction, _ rules: [ProxyRule]) {
    let rule = rules.last { $0.direction == direction && hasSaid($0.said) }
    let number = rule?.number ?? 0
    guard pipes[direction.rawValue].rule != number else { return }
    pipes[direction.rawValue].rule = number
    pipes[direction.rawValue].treatment = rule?.treatment ?? .pass
    pipes[direction.rawValue].passed = 0
  }

  private func read(_ direction: TCPProxy.Direction, _ rules: [ProxyRule]) -> Int {
    let i = direction.rawValue
    var lost = 0
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while !isOver {
      adopt(direction, rules)
      guard !pipes[i].hasEnded, pipes[i].treatment != .hold,
        pipes[i].waitingBytes < ProxyConnection.waitingBytesMax
      else { return lost }
      let count = recv(pipes[i].source, &chunk, chunk.count, 0)
      if count < 0, errno == EAGAIN || errno == EINTR { return lost }
      guard count >= 0 else {
        close(reset: true)
        return lost
      }
      guard count > 0 else {
        pipes[i].hasEnded = true
        return lost
      }
      if direction == .toServer, said.count < ProxyConnection.rememberedBytesMax {
        said += chunk[..<min(count, ProxyConnection.rememberedBytesMax - said.count)]
        adopt(direction, rules)
      }
      lost += treat(i, Array(chunk[..<count]))
    }
    return lost
  }

  /// Does to a piece what its pipe's treatment says. Returns the bytes that are lost.
  private func treat(_ i: Int, _ bytes: [UInt8]) -> Int {
    var due: UInt64 = 0
    switch pipes[i].treatment {
    case .pass, .hold: break
    case .delay(let milliseconds): due = Deadline.now() + UInt64(milliseconds) * 1_000_000
    case .swallow: return bytes.count
    case .swallowPieces(let text): if bytes.contains(Array(text.utf8)) { return bytes.count }
    case .cut(let afterBytes):
      let left = afterBytes - pipes[i].passed
      pipes[i].passed += bytes.count
      guard bytes.count >= left else { break }
      queue(i, Array(bytes.prefix(max(0, left))), due)
      write(i == 0 ? .toServer : .toClient)
      close(reset: true)
      return bytes.count - max(0, left)
    }
    queue(i, bytes, due)
    return 0
  }

  private func queue(_ i: Int, _ bytes: [UInt8], _ due: UInt64) {
    // A shorter delay than before must not overtake.
    pipes[i].waiting.append((max(due, pipes[i].waiting.last?.due ?? 0), bytes))
    pipes[i].waitingBytes += bytes.count
  }

  private func write(_ direction: TCPProxy.Direction) {
    let i = direction.rawValue
    pipes[i].isBlocked = false
    while let piece = pipes[i].waiting.first, piece.due <= Deadline.now() {
      let count = send(pipes[i].sink, piece.bytes, piece.bytes.count, Int32(MSG_NOSIGNAL))
      if count < 0, errno == EAGAIN || errno == EINTR {
        pipes[i].isBlocked = true
        return
      }
      guard count >= 0 else { return close(reset: true) }
      pipes[i].waitingBytes -= count
      if count == piece.bytes.count {
        pipes[i].waiting.removeFirst()
      } else {
        pipes[i].waiting[0].bytes.removeFirst(count)
      }
    }
    guard pipes[i].hasEnded, !pipes[i].hasToldEnd, pipes[i].waiting.isEmpty, pipes[i].treatment != .swallow else {
      return
    }
    pipes[i].hasToldEnd = true
    shutdown(pipes[i].sink, Int32(SHUT_WR))
  }

  /// Closes both sides. Idempotent.
  func close(reset: Bool) {
    isOver = true
    for pipe in pipes {
      if reset {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(pipe.source, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
      }
      Glibc.close(pipe.source)
    }
    pipes = []
  }
}
