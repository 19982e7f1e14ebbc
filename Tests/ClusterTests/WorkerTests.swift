import Glibc
import JSONCore
import TestSupport
import Testing

/// Several processes on one port: who has the port, and how they end.
@Suite("Workers, their supervisor and their port", .serialized)
struct WorkerTests {
  private let redis: RedisProcess
  private let port: UInt16

  init() throws {
    redis = try RedisProcess()
    port = try FreePort.find()
  }

  private func start(_ flags: [String] = []) throws -> RoostProcess {
    try RoostProcess(["--redis", redis.url, "--workers", "2", "--node-id", "w"] + flags, port: port)
  }

  @Test("refuses a second start on a port that workers share, with status 69 and the port's number, whatever its host")
  func taken() throws {
    try withExtendedLifetime(try start()) {
      for host in ["0.0.0.0", "127.0.0.1", "::", "*", "localhost"] {
        let second = try RoostProcess.run([
          "serve", "--host", host, "--port", "\(port)", "--workers", "2", "--redis", redis.url, "--redis-prefix",
          "other",
        ])
        #expect(second.end == .exited(69) && second.output.contains("port \(port) is taken"), "\(host): \(second)")
      }
      let single = try RoostProcess.run(["serve", "--port", "\(port)"])
      #expect(single.end == .exited(69) && single.output.contains("port \(port) is taken"), "\(single)")
      let admin = try RoostProcess.run(["serve", "--port", "0", "--admin-port", "\(port)"])
      #expect(admin.end == .exited(69) && admin.output.contains("--admin-port"), "\(admin)")
    }
  }

  @Test("lets one of several that start at the same moment have the port")
  func race() throws {
    let binary = try RoostProcess.binary()
    let starts = try (0..<4).map { _ in
      try ChildProcess([binary, "serve", "--port", "\(port)", "--workers", "2", "--redis", redis.url])
    }
    try eventually("three have given up", within: 30) { starts.count { $0.end() != nil } == 3 }
    for process in starts {
      if let end = process.end() { #expect(end == .exited(69), "\(process.output)") }
    }
    let winner = try #require(starts.first { $0.end() == nil })
    _ = try winner.line(with: #""message":"listening""#)
    #expect(try HTTPClient(port: port, server: winner).get("/healthz").status == 200)
  }

  @Test("drains the workers of a supervisor that was killed, and leaves the port to the next start at once")
  func supervisorKilled() throws {
    let server = try start(["--drain", "1s"])
    try server.awaitReady()
    let client = try server.connect("ann")
    // Not by the object, which would end the workers, too.
    Glibc.kill(server.process.id, SIGKILL)
    // The workers, which write to the same place, outlive it.
    try eventually("a worker notices", within: 10) { server.process.output.contains("the supervisor has ended") }
    try client.expect("reconnect")
    let next = try eventuallyStarted()
    #expect(try client.expectClose() == 1012)
    #expect(try next.http.get("/healthz").status == 200)
    withExtendedLifetime(server) {}
  }

  /// Starts on the port as soon as both workers have left it.
  private func eventuallyStarted() throws -> RoostProcess {
    var started: RoostProcess?
    try eventually("the port is free") {
      started = try? start()
      return started != nil
    }
    return try #require(started)
  }

  @Test("drains once for a Ctrl-C, which a terminal sends to supervisor and workers alike", arguments: 1...5)
  func interrupt(_ attempt: Int) throws {
    let server = try start(["--drain", "1s"])
    try server.awaitReady()
    let clients = try (0..<4).map { try server.connect("u\($0)") }
    Glibc.kill(-server.process.id, SIGINT)
    for client in clients {
      try client.expect("reconnect")
      #expect(try client.expectClose() == 1012)
    }
    #expect(try server.process.waitForEnd() == .exited(0), "\(server.process.output)")
  }

  @Test("ends at once for a second Ctrl-C")
  func secondInterrupt() throws {
    let server = try start(["--drain", "1h"])
    try server.awaitReady()
    let client = try server.connect("ann")
    Glibc.kill(-server.process.id, SIGINT)
    try client.expect("reconnect")
    try eventually("it ends", within: 20) {
      if server.process.end() == nil { Glibc.kill(-server.process.id, SIGINT) }
      usleep(100_000)
      return server.process.end() != nil
    }
  }

  @Test("counts on where a worker stopped that was killed, and counts its connections no longer")
  func counters() throws {
    let server = try start()
    try server.awaitReady()
    let client = try server.connect("ann")
    try eventually("a join is taken") { try client.ask(#""type":"join","room":"r""#).type == "joined" }
    for n in 1...5 { try client.publish("r", "\"n\":\(n)") }
    let name = "roost_messages_received_total"
    var highest = 0.0
    try eventually("both workers know") {
      highest = try server.metric(name)
      return highest >= 5
    }
    for _ in 0..<2 {
      for worker in try workers(of: server.process.id) { Glibc.kill(worker, SIGKILL) }
      try eventually("the workers are back, and nothing has fallen", within: 20) {
        // Connections to a worker that has ended, or not yet begun, fail.
        guard let count = try? server.metric(name) else { return false }
        #expect(count >= highest, "\(name) fell from \(highest) to \(count)")
        highest = max(highest, count)
        return try (try? server.metric(#"roost_connections{transport="websocket"}"#)) == 0
          && workers(of: server.process.id).count == 2
      }
    }
  }

  /// The children of the supervisor.
  private func workers(of supervisor: pid_t) throws -> [pid_t] {
    let list = try ChildProcess(["ps", "-o", "pid=,stat=", "--ppid", "\(supervisor)"])
    _ = try list.waitForEnd()
    return list.output.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      return words.count == 2 && !words[1].hasPrefix("Z") ? pid_t(words[0]) : nil
    }
  }
}
