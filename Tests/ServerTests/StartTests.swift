import Glibc
import JSONCore
import TestSupport
import Testing
import TimeCore

@testable import Server

@Suite("The start of a node: its address, and what it was given by mistake")
struct StartTests {
  @Test("listens on all addresses of both families for the host *")
  func everywhere() throws {
    let server = try RoostProcess(["--host", "*"])
    let list = try ChildProcess(["cat", "/proc/net/tcp", "/proc/net/tcp6"])
    _ = try list.waitForEnd()
    let port = String(server.port, radix: 16, uppercase: true)
    let suffix = ":" + String(repeating: "0", count: 4 - port.count) + port
    // Field 2 is the local address, field 4 the state; 0A is LISTEN.
    let hosts = list.output.split(separator: "\n").compactMap { line -> Int? in
      let fields = line.split(separator: " ")
      return fields.count > 3 && fields[1].hasSuffix(suffix) && fields[3] == "0A" ? fields[1].count - 5 : nil
    }
    #expect(hosts.contains(8))
    if access("/proc/net/if_inet6", R_OK) == 0 { #expect(hosts.contains(32), "\(list.output)") }
    #expect(try server.http.get("/healthz").status == 200)
  }

  @Test("takes a name or an address in brackets as its host", arguments: ["localhost", "127.0.0.1", "0.0.0.0"])
  func named(_ host: String) throws {
    let server = try RoostProcess(["--host", host])
    #expect(try server.http.get("/healthz").status == 200)
  }

  @Test(
    "names a host that it cannot listen on, and not another program",
    arguments: [
      ("nowhere.invalid", 64, "cannot be resolved"), ("203.0.113.7", 69, "no address of this machine"),
      ("0.0.0.0:80", 64, "neither an address nor a host name"), ("[::1", 64, "neither an address nor a host name"),
      ("http://localhost", 64, "neither an address nor a host name"),
    ])
  func wrongHost(_ host: String, _ status: Int32, _ text: String) throws {
    let result = try RoostProcess.run(["serve", "--host", host, "--port", "0"])
    #expect(result.end == .exited(status) || host == "nowhere.invalid" && result.end == .exited(69), "\(result)")
    #expect(result.output.contains(host) && result.output.contains("--host"), "\(result)")
    #expect(result.output.contains(text) && !result.output.contains("another program"), "\(result)")
  }

  @Test("warns once of a variable that nothing reads, with the name that was probably meant and without its value")
  func unknownVariable() throws {
    let server = try RoostProcess(environment: [
      "ROOST_PROT": "the-value", "ROOST_URL": "http://x", "ROOST_ROOMS": "[]", "ROOST_SERVICE_HOST": "10.0.0.1",
      "ROOST_PORT_8080_TCP_ADDR": "10.0.0.1", "ROOST_TOKEN": "t", "ROOST_NODE_IDS": "",
    ])
    try server.awaitReady()
    // The log is written by a thread of its own.
    _ = try server.process.line(with: "ROOST_ROOMS is ignored")
    let output = server.process.output
    #expect(output.contains("ROOST_PROT is ignored; did you mean ROOST_PORT?"), "\(output)")
    #expect(output.contains("ROOST_ROOMS is ignored: only the key rooms"), "\(output)")
    let wrong = ["the-value", "ROOST_URL", "ROOST_SERVICE", "ROOST_PORT_8080", "ROOST_TOKEN", "ROOST_NODE_IDS"]
    for text in wrong { #expect(!output.contains(text), "\(text): \(output)") }
  }

  @Test("warns of settings for tokens that auth=none does not use, in the log and in /admin/nodes")
  func unusedTokenSettings() throws {
    let server = try RoostProcess(["--jwt-secret", "a-secret-that-nobody-uses", "--jwt-issuer", "x"])
    try server.awaitReady()
    let line = try server.process.line(with: "--jwt-secret, --jwt-issuer: auth=none checks no token")
    #expect(!line.contains("a-secret"))
    let warnings = try server.inspect("nodes")["warnings"]?.asArray?.compactMap(\.asString) ?? []
    #expect(warnings.contains { $0.contains("--jwt-secret, --jwt-issuer") }, "\(warnings)")
  }

  @Test("says in words of its own what is wrong with a certificate, a key, or a key for tokens")
  func plainWords() throws {
    let certificates = try Certificates()
    let (good, bad) = (certificates.server, certificates.client)
    let garbage = certificates.folder + "/ca.srl"
    let wrong: [[String]] = [
      ["--tls-cert", "/nowhere.pem", "--tls-key", good.key],
      ["--tls-cert", good.certificate, "--tls-key", "/nowhere.pem"],
      ["--tls-cert", good.key, "--tls-key", good.key], ["--tls-cert", good.certificate, "--tls-key", good.certificate],
      ["--tls-cert", good.certificate, "--tls-key", bad.key], ["--tls-cert", garbage, "--tls-key", good.key],
      ["--auth", "jwt", "--jwt-public-key", good.key], ["--auth", "jwt", "--jwt-public-key", garbage],
    ]
    for flags in wrong {
      let run = try RoostProcess.run(["serve", "--port", "0"] + flags)
      #expect(run.end != .exited(0) && run.output.split(separator: "\n").count == 1, "\(flags): \(run)")
      #expect(!run.output.contains("error:") && !run.output.contains("routines"), "\(flags): \(run)")
      #expect(flags.contains { $0.hasPrefix("/") && run.output.contains($0) }, "\(flags): \(run)")
    }
  }

  @Test("says in the log and in /admin/nodes that default limits have applied to nobody, until a public client comes")
  func idleLimits() throws {
    let server = try RoostProcess(["--trusted-proxies", "127.0.0.1", "--rate", "100"])
    func come(from address: String) throws -> WebSocketClient {
      let client = try WebSocketClient(port: server.port, headers: ["X-Forwarded-For: \(address)"])
      try client.expect("welcome")
      return client
    }
    func warnings() throws -> [String] {
      try server.inspect("nodes")["warnings"]?.asArray?.compactMap(\.asString).filter {
        $0.contains("applied to nobody")
      } ?? []
    }
    var clients = try (0..<(ClientOrigins.privateMin - 1)).map { try come(from: "10.0.0.\($0 + 1)") }
    #expect(try warnings().isEmpty)
    clients.append(try come(from: "192.168.0.1"))
    let line = try server.process.line(with: "applied to nobody")
    #expect(line.contains("--room-rate") && !line.contains("--rate,") && line.contains("--trusted-proxies"), "\(line)")
    #expect(try warnings().count == 1)
    clients.append(try come(from: "203.0.113.1"))
    #expect(try warnings().isEmpty)
    withExtendedLifetime(clients) {}
  }

  @Test("prints the help when it is started with nothing")
  func nothing() throws {
    let result = try RoostProcess.run([])
    #expect(result.end == .exited(0) && result.output.contains("Usage: roost"), "\(result)")
  }

  @Test("sends clients back at moments of their own, however short the drain", arguments: ["1s", "500ms"])
  func shortDrain(_ drain: String) throws {
    let server = try RoostProcess(["--drain", drain])
    let clients = try (0..<12).map { try server.connect("u\($0)") }
    server.process.signal(SIGTERM)
    let moments = try clients.map { try $0.expect("reconnect").int("after") ?? -1 }
    #expect(Set(moments).count > 3 && moments.allSatisfy { (0..<1000).contains($0) }, "\(moments)")
    for client in clients { #expect(try client.expectClose() == 1012) }
  }
}

@Suite("When to stop: pure")
struct StopTests {
  @Test("drains for the first signal, ignores its copy in a worker, and ends for a later Ctrl-C")
  func requests() {
    var single = StopRequests(hasSupervisor: false)
    #expect(single.take(SIGTERM, at: .zero + .milliseconds(50)) == .drain)
    #expect(single.take(SIGTERM, at: .zero + .milliseconds(50)) == .nothing)
    #expect(single.take(SIGINT, at: .zero + .milliseconds(50)) == .endNow)
    var stop = StopRequests(hasSupervisor: true)
    #expect(stop.take(SIGINT, at: .zero + .milliseconds(50)) == .drain)
    #expect(stop.take(SIGINT, at: .zero + .milliseconds(50)) == .nothing)
    #expect(stop.take(SIGINT, at: .zero + .milliseconds(1049)) == .nothing)
    #expect(stop.take(SIGTERM, at: .zero + .milliseconds(5000)) == .nothing)
    #expect(stop.take(SIGINT, at: .zero + .milliseconds(1050)) == .endNow)
  }

  @Test("spreads the connections over the drain and leaves time to close", arguments: [0, 1, 3, 500, 1000, 10_000])
  func schedule(_ drain: Int) {
    let schedule = DrainSchedule(.milliseconds(drain))
    var generator = SystemRandomNumberGenerator()
    let moments = (0..<200).map { _ in schedule.moment(using: &generator).milliseconds }
    #expect(moments.allSatisfy { (0...max(0, drain - min(1000, drain / 4))).contains($0) })
    #expect(drain < 500 || Set(moments).count > 50)
  }
}
