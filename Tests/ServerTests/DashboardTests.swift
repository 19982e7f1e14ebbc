import JSONCore
import TestSupport
import Testing

@Suite("One node, dashboard")
struct DashboardTests {
  static let files =
    [
      ("/admin/", "text/html; charset=utf-8"), ("/admin/dashboard.css", "text/css; charset=utf-8"),
      ("/admin/chart.css", "text/css; charset=utf-8"),
    ]
    + [
      "dashboard", "actions", "admin", "chart", "detail", "live", "nodes", "rooms", "stats", "table", "tail",
    ].map { ("/admin/\($0).js", "text/javascript; charset=utf-8") }

  @Test("serves its files without a token, to be stored nowhere and framed by nobody, with its own scripts only")
  func pages() throws {
    let server = try RoostProcess(["--admin-guesses", "1"])
    // Whoever has guessed too often is refused answers, not the page that says so.
    for _ in 0..<3 { _ = try server.admin("GET", "nodes", token: "wrong") }
    #expect(try server.admin("GET", "nodes").status == 429)
    for (path, type) in DashboardTests.files {
      let answer = try server.http.get(path)
      #expect(answer.status == 200, "\(path): \(answer)")
      #expect(answer.header("content-type") == type)
      #expect(answer.header("cache-control") == "no-store")
      #expect(answer.header("referrer-policy") == "no-referrer")
      #expect(answer.header("x-content-type-options") == "nosniff")
      #expect(answer.header("set-cookie") == nil)
      let policy = (answer.header("content-security-policy") ?? "").split(separator: "; ").map(String.init)
      for directive in [
        "default-src 'none'", "script-src 'self'", "connect-src 'self'", "form-action 'none'", "base-uri 'none'",
        "frame-ancestors 'none'", "require-trusted-types-for 'script'",
      ] { #expect(policy.contains(directive), "\(path): no \(directive) in \(policy)") }
      #expect(!answer.text.contains(RoostProcess.adminToken))
    }
    let page = try server.http.get("/admin/").text
    // Every address in it is one of the node's own, and no script or style stands in the page itself.
    for address in page.split(separator: #"=""#).map({ $0.prefix { $0 != "\"" } }) { #expect(!address.contains("//")) }
    #expect(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="))
    #expect(
      page.split(separator: "<script").dropFirst().allSatisfy { $0.contains("src=") && $0.contains("></script>") })
    let head = try server.http.ask("HEAD", "/admin/")
    #expect(head.status == 200 && head.header("content-length") == "\(page.utf8.count)")
  }

  @Test("answers 405 with Allow to other methods, and leaves every other path below /admin closed")
  func methods() throws {
    let server = try RoostProcess()
    for path in DashboardTests.files.map(\.0) + ["/admin"] {
      for method in ["POST", "PUT", "DELETE"] {
        let answer = try server.http.ask(method, path)
        #expect(answer.status == 405, "\(method) \(path): \(answer)")
        #expect(answer.header("allow")?.contains("GET") == true)
      }
    }
    for path in ["/admin/index.html", "/admin/dashboard.js/", "/admin/nodes"] {
      #expect(try server.http.get(path).status == 401, "\(path)")
    }
    // A path is served under its own text only.
    for path in ["/admin//", "/admin/%2e%2e/dashboard.js"] {
      #expect(try server.http.get(path).status == 400, "\(path)")
    }
    #expect(try server.http.get("/dashboard.js").status == 404)
  }

  @Test("sends /admin to /admin/ with its query, which no cache keeps (RFC 9110 section 15.4.9)")
  func slash() throws {
    let http = try RoostProcess().http
    for (target, location) in [("/admin", "admin/"), ("/admin?token=a%20b&x=1", "admin/?token=a%20b&x=1")] {
      let answer = try http.get(target)
      #expect(answer.status == 308, "\(answer)")
      #expect(answer.header("location") == location)
      #expect(answer.header("cache-control") == "no-store")
    }
  }

  @Test("is on the admin port alone when there is one")
  func ownPort() throws {
    let port = try FreePort.find()
    let server = try RoostProcess(["--admin-port", "\(port)"])
    let admin = HTTPClient(port: port)
    for path in DashboardTests.files.map(\.0) {
      #expect(try server.http.get(path).status == 404, "\(path)")
      #expect(try admin.get(path).status == 200, "\(path)")
    }
    #expect(try server.http.get("/admin").status == 404)
    #expect(try admin.get("/admin").status == 308)
    for path in ["/page.css", "/favicon.svg"] { #expect(try admin.get(path).status == 200, "\(path)") }
  }

  @Test("is told which node answers and when each made its report")
  func answer() throws {
    let server = try RoostProcess(["--node-id", "n1"])
    let answer = try server.inspect("nodes")
    #expect(answer["node"]?.asString == "n1")
    #expect((answer["nodes"]?.asArray?.first?["time"]?.asInt ?? 0) > 1_700_000_000_000)
  }
}
