import Glibc
import TestSupport
import Testing

@Suite("One node, nothing that stops its loop")
struct BlockingTests {
  @Test("goes on when nobody reads its standard error, counts what it drops, and ends when it shall")
  func standardError() throws {
    let port = try FreePort.find()
    // The pipe's other end is open and never read.
    let process = try ChildProcess([
      "/bin/bash", "-c", "exec \"$0\" serve --port \(port) --drain 0s 2> >(exec sleep 300)", try RoostProcess.binary(),
    ])
    let http = HTTPClient(port: port)
    try eventually("the node listens") { (try? http.get("/healthz").status) == 200 }
    func dropped() throws -> Bool {
      try !http.get("/metrics").text.split(separator: "\n").contains("roost_log_dropped_total 0")
    }
    // Each signal that is seen is a line: more than the pipe and the buffer hold.
    try eventually("lines are dropped", within: 120) {
      for _ in 0..<50 {
        process.signal(SIGHUP)
        usleep(200)
      }
      return try dropped()
    }
    #expect(try http.get("/healthz").status == 200)
    process.signal(SIGTERM)
    #expect(try process.waitForEnd() == .exited(0))
  }

  @Test("writes its last lines before it ends")
  func lastLines() throws {
    let server = try RoostProcess(["--drain", "0s"])
    server.process.signal(SIGTERM)
    #expect(try server.process.waitForEnd() == .exited(0))
    #expect(server.process.output.hasSuffix("\n"))
    #expect(server.process.output.split(separator: "\n").last?.contains(#""message":"stopped""#) == true)
  }

  @Test("does not start with an encrypted key, asks nobody, and says how to decrypt it")
  func encryptedKey() throws {
    let certificates = try Certificates()
    let folder = try TemporaryFolder()
    let key = try BlockingTests.encrypt(certificates.server.key, in: folder)
    let result = try RoostProcess.run([
      "serve", "--port", "0", "--tls-cert", certificates.server.certificate, "--tls-key", key,
    ])
    #expect(result.end == .exited(64))
    #expect(result.output.contains("encrypted") && result.output.contains("openssl pkey"), "\(result.output)")
    #expect(!result.output.contains("Enter"), "\(result.output)")
    let redis = try RoostProcess.run([
      "serve", "--port", "0", "--workers", "1", "--redis", "rediss://127.0.0.1:1", "--redis-cert",
      certificates.client.certificate,
      "--redis-key", try BlockingTests.encrypt(certificates.client.key, in: folder),
    ])
    #expect(redis.end == .exited(64))
    #expect(redis.output.contains("encrypted"), "\(redis.output)")
  }

  @Test("keeps its certificate when a reload meets an encrypted key or a pipe that nobody writes to")
  func reload() throws {
    let certificates = try Certificates()
    let folder = try TemporaryFolder()
    let key = folder.path("server.key")
    try folder.write("server.key", try contents(of: certificates.server.key))
    let server = try RoostProcess(["--tls-cert", certificates.server.certificate, "--tls-key", key])
    func isAlive() -> Bool { (try? server.http.get("/healthz").status) == 400 }
    #expect(isAlive())
    try folder.write("server.key", try contents(of: try BlockingTests.encrypt(certificates.server.key, in: folder)))
    server.process.signal(SIGHUP)
    #expect(try server.process.line(with: "kept the old certificate").contains("encrypted"))
    #expect(isAlive())
    unlink(key)
    #expect(mkfifo(key, 0o600) == 0)
    server.process.signal(SIGHUP)
    try eventually("the reload has ended") {
      server.process.output.split(separator: "\n").count { $0.contains("kept the old certificate") } == 2
    }
    #expect(isAlive())
  }

  @Test("redirects to the names that its certificate is for, and reflects no other Host")
  func redirects() throws {
    let certificates = try Certificates()
    let plain = try FreePort.find()
    let server = try RoostProcess([
      "--tls-cert", certificates.server.certificate, "--tls-key", certificates.server.key, "--redirect-port",
      "\(plain)",
    ])
    let http = HTTPClient(port: plain, server: server)
    let other = try FreePort.find()
    let stranger = try RoostProcess([
      "--tls-cert", certificates.stranger.certificate, "--tls-key", certificates.stranger.key, "--redirect-port",
      "\(other)",
    ])
    // The address that was connected to is no invention, whatever the certificate is for.
    for (host, status) in [("127.0.0.1", 301), ("localhost", 301), ("elsewhere.test", 301), ("127.0.0.2", 421)] {
      let answer = try HTTPClient(port: other, server: stranger).raw("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(answer.status == status, "\(host): \(answer)")
    }
    for host in ["localhost", "LOCALHOST:\(plain)", "127.0.0.1"] {
      let answer = try http.raw("GET /a%20b?c=d HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      let name = host.split(separator: ":")[0]
      #expect(answer.status == 301, "\(host): \(answer)")
      #expect(answer.header("location") == "https://\(name):\(server.port)/a%20b?c=d")
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.2", "[::1]", ""] {
      let answer = try http.raw("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect((400..<500).contains(answer.status), "\(host): \(answer)")
      #expect(answer.header("location") == nil, "\(host): \(answer)")
    }
  }

  private static func encrypt(_ key: String, in folder: TemporaryFolder) throws -> String {
    let path = folder.path("encrypted-\(key.split(separator: "/").last ?? "key")")
    try OpenSSL.run(["pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", path])
    return path
  }
}
