import JSONCore
import TestSupport
import Testing

@Suite("One node, admin endpoint")
struct AdminTests {
  @Test("opens to the admin token only, and to the API key for the four paths that send")
  func authorization() throws {
    let server = try RoostProcess(["--api-key", "the-key"])
    for path in ["nodes", "rooms", "presence/r", "users/ann", "connections/x", "history/r", "no-such"] {
      #expect(try server.http.get("/admin/\(path)").status == 401, "\(path)")
      let key = try server.admin("GET", path, token: "the-key")
      let message = try key.json()["error"]?["message"]?.asString ?? ""
      #expect(key.status == 403 && message.contains("admin token"), "\(path): \(key)")
      for opened in ["publish", "broadcast", "direct", "batch"] {
        #expect(message.contains("POST /admin/\(opened)"), "\(message)")
      }
      for token in ["wrong", "", RoostProcess.adminToken + "x"] {
        let answer = try server.admin("GET", path, token: token)
        #expect(answer.status == 401, "\(path) with “\(token)”")
        #expect(try answer.json()["error"]?["code"]?.asString == "unauthenticated")
        #expect(answer.header("www-authenticate") != nil)
      }
    }
    let sends = [
      ("publish", #"{"room":"r","data":{}}"#), ("broadcast", #"{"data":{}}"#), ("direct", #"{"to":"ann","data":{}}"#),
    ]
    for (path, body) in sends {
      #expect(try server.admin("POST", path, body: body, token: "the-key").status == 200, "\(path)")
      #expect(try server.admin("POST", path, body: body, token: "other").status == 401, "\(path)")
    }
    #expect(try server.admin("POST", "disconnect", body: #"{"user":"ann"}"#, token: "the-key").status == 403)
  }

  @Test("answers 404 to unknown paths, 405 to wrong methods and 400 to malformed bodies, in JSON")
  func refusals() throws {
    let server = try RoostProcess(["--max-message", "1k"])
    #expect(try server.admin("GET", "no-such").status == 404)
    #expect(try server.admin("GET", "connections/nobody").status == 404)
    #expect(try server.admin("POST", "disconnect", body: #"{"connection":"nobody"}"#).status == 404)
    for path in ["rooms", "nodes", "presence/r", "history/r"] {
      #expect(try server.admin("POST", path, body: "{}").status == 405, "\(path)")
    }
    for path in ["publish", "broadcast", "direct", "disconnect"] {
      #expect(try server.admin("GET", path).status == 405, "\(path)")
    }
    let malformed = [
      ("publish", ""), ("publish", "[]"), ("publish", "{"), ("publish", #"{"room":"r"}"#), ("publish", #"{"data":{}}"#),
      ("publish", #"{"room":"","data":{}}"#), ("publish", #"{"room":7,"data":{}}"#),
      ("publish", #"{"room":"r","data":[]}"#),
      ("publish", #"{"room":"r","data":"text"}"#), ("broadcast", "{}"), ("direct", #"{"data":{}}"#),
      ("disconnect", "{}"), ("disconnect", #"{"user":7}"#),
    ]
    // Names that no user can have.
    for name in ["", "a\\u0085", String(repeating: "é", count: 101)] {
      for (path, body) in [
        ("disconnect", #"{"user":"\#(name)"}"#), ("revoke", #"{"user":"\#(name)"}"#),
        ("direct", #"{"to":"\#(name)","data":{}}"#),
      ] {
        let answer = try server.admin("POST", path, body: body)
        #expect(answer.status == 400, "\(path) \(body): \(answer)")
        #expect(answer.text.contains("must be a user: 1 to 200 bytes of UTF-8 without control characters"))
      }
    }
    for (path, body) in malformed {
      let answer = try server.admin("POST", path, body: body)
      #expect(answer.status == 400, "\(path) \(body): \(answer)")
      #expect(try answer.json()["error"]?["message"]?.asString?.isEmpty == false)
    }
    let long = #"{"room":"r","data":{"text":"\#(String(repeating: "a", count: 2000))"}}"#
    #expect(try server.admin("POST", "publish", body: long).status == 413)
    for epoch in ["x", "0ab", "AB", "12345678901234567"] {
      let answer = try server.admin("GET", "history/r?since=\(epoch):1")
      #expect(answer.status == 400 && answer.text.contains("\(epoch):1"), "\(answer)")
    }
    for target in ["rooms?limit=0", "rooms?limit=x", "history/r?since=x", "history/r?limit=-1"] {
      #expect(try server.admin("GET", target).status == 400, "\(target)")
    }
  }

  @Test("publishes the members of data into a room with user null, once for each Idempotency-Key")
  func publish() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    let epoch = try ann.join("r").string("epoch")
    func publish(_ n: Int, key: String?) throws -> JSONValue {
      let body = #"{"room":"r","data":{"n":\#(n),"big":12345678901234567890}}"#
      let answer = try server.admin(
        "POST", "publish", body: body, headers: key.map { ["Idempotency-Key: \($0)"] } ?? [])
      #expect(answer.status == 200, "\(answer)")
      return try answer.json()
    }
    let first = try publish(1, key: "k")
    #expect(first["room"]?.asString == "r")
    #expect(first["epoch"]?.asString == epoch)
    #expect(first["offset"]?.asInt == 1)
    #expect(try publish(1, key: "k")["offset"]?.asInt == 1)
    #expect(try publish(2, key: "other")["offset"]?.asInt == 2)
    #expect(try publish(3, key: nil)["offset"]?.asInt == 3)
    let seen = try ann.settle()
    #expect(seen.compactMap { $0.int("n") } == [1, 2, 3])
    #expect(seen.first?.text.contains(#""user":null"#) == true)
    #expect(seen.first?.text.hasSuffix(#""n":1,"big":12345678901234567890}"#) == true)
  }

  @Test(
    "refuses a member of data that receivers would not get, names it and says what to do",
    arguments: [
      ("publish", #""room":"r","#), ("broadcast", ""), ("direct", #""to":"ann","#),
    ])
  func protocolNames(path: String, rest: String) throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    let names = ["type", "room", "user", "offset", "ts", "id", "echo", "ephemeral"]
    for name in names + [#"\u0074ype"#, #"i\u0064"#] {
      let answer = try server.admin("POST", path, body: #"{\#(rest)"data":{"n":1,"\#(name)":"x"}}"#)
      #expect(answer.status == 400, "\(name): \(answer)")
      let error = try answer.json()["error"]
      #expect(error?["code"]?.asString == "bad_request")
      let message = error?["message"]?.asString ?? ""
      #expect(message.contains("nest") && names.contains { message.contains("\"\($0)\"") }, "\(name): \(message)")
      #expect(message.contains("put user beside data") == (name == "user"), "\(name): \(message)")
    }
    #expect(try ann.settle().isEmpty)
    // One level down, and beside them, everything is the sender's.
    let data = #"{"payload":{"type":"x","user":"y"},"to":"z","token":1,"since":2}"#
    #expect(try server.admin("POST", path, body: #"{\#(rest)"data":\#(data)}"#).status == 200)
    #expect(try ann.settle().first?.text.hasSuffix(data.dropFirst()) == true)
  }

  @Test("publishes as the user that stands beside data")
  func asUser() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    for (path, rest) in [("publish", #""room":"r","#), ("broadcast", ""), ("direct", #""to":"ann","#)] {
      let given = try server.admin("POST", path, body: #"{\#(rest)"user":"b\"ot","data":{"n":1}}"#)
      #expect(given.status == 200, "\(given)")
      #expect(try server.admin("POST", path, body: #"{\#(rest)"user":null,"data":{"n":2}}"#).status == 200)
      #expect(try ann.settle().map { $0.string("user") } == ["b\"ot", nil])
      for user in ["7", "\"\"", #""a\u0000""#, "[]", #""\#(String(repeating: "u", count: 201))""#, #""\ud800""#] {
        let refused = try server.admin("POST", path, body: #"{\#(rest)"user":\#(user),"data":{}}"#)
        #expect(refused.status == 400, "\(user): \(refused)")
        #expect(try refused.json()["error"]?["message"]?.asString?.contains("user") == true)
      }
    }
    #expect(try server.inspect("history/r")["messages"]?.asArray?.map { $0["user"]?.asString } == ["b\"ot", nil])
  }

  @Test("ignores nothing that it was asked: unknown or repeated members and query parameters are 400 and named")
  func unknownNames() throws {
    let server = try RoostProcess()
    let bodies = [
      ("publish", #"{"room":"r","data":{},"rom":1}"#, "rom"), ("publish", #"{"room":"r","data":{},"id":"x"}"#, "id"),
      ("publish", #"{"room":"r","room":"s","data":{}}"#, "room"), ("broadcast", #"{"data":{},"room":"r"}"#, "room"),
      ("direct", #"{"to":"ann","data":{},"echo":true}"#, "echo"), ("disconnect", #"{"user":"ann","code":1}"#, "code"),
      ("revoke", #"{"user":"ann","until":1}"#, "until"), ("broadcast", #"{"data":{},"\ud800":1}"#, "unknown"),
    ]
    for (path, body, name) in bodies {
      let answer = try server.admin("POST", path, body: body)
      #expect(answer.status == 400, "\(path) \(body): \(answer)")
      #expect(try answer.json()["error"]?["message"]?.asString?.contains(name) == true, "\(answer)")
    }
    let queries = [
      ("rooms?foo=", "foo"), ("rooms?limit=1&limit=2", "limit"), ("rooms?Limit=1", "Limit"),
      ("history/r?before=1:2", "before"),
      ("nodes?x=1", "x"), ("users/ann?limit=1", "limit"), ("connections/x?y", "y"),
    ]
    for (target, name) in queries {
      let answer = try server.admin("GET", target)
      #expect(answer.status == 400, "\(target): \(answer)")
      #expect(try answer.json()["error"]?["message"]?.asString?.contains("\"\(name)\"") == true, "\(answer)")
    }
    #expect(try server.admin("POST", "broadcast?dry-run", body: #"{"data":{}}"#).status == 400)
    #expect(try server.inspect("history/r")["messages"]?.asArray?.isEmpty == true)
  }

  @Test("sends to one user, counting connections, and to everyone")
  func sends() throws {
    let server = try RoostProcess()
    let (first, second, bob) = (try server.connect("ann"), try server.connect("ann"), try server.connect("bob"))
    let direct = try server.admin("POST", "direct", body: #"{"to":"ann","data":{"n":1}}"#)
    #expect(try direct.json()["delivered"]?.asInt == 2)
    #expect(try server.admin("POST", "direct", body: #"{"to":"eve","data":{}}"#).json()["delivered"]?.asInt == 0)
    #expect(try server.admin("POST", "broadcast", body: #"{"data":{"n":2}}"#).status == 200)
    for ann in [first, second] { #expect(try ann.settle().map(\.type) == ["direct", "broadcast"]) }
    let broadcast = try bob.settle()
    #expect(broadcast.map { $0.int("n") } == [2])
    #expect(broadcast.first?.text.contains(#""user":null"#) == true)
  }

  @Test("closes a user's connections, or one connection, with 4409")
  func disconnect() throws {
    let server = try RoostProcess()
    let (first, second, bob) = (try server.connect("ann"), try server.connect("ann"), try server.connect("bob"))
    let answer = try server.admin("POST", "disconnect", body: #"{"user":"ann"}"#)
    #expect(answer.status == 200, "\(answer)")
    #expect(try first.expectClose() == 4409)
    #expect(try second.expectClose() == 4409)
    #expect(try bob.settle().isEmpty)
    let name = try bob.ask(#""type":"request","action":"whoami""#)["payload"]?["connection"]?.asString ?? ""
    #expect(try server.admin("POST", "disconnect", body: #"{"connection":"\#(name)"}"#).status == 200)
    #expect(try bob.expectClose() == 4409)
  }

  @Test("revokes a user for a time, and says what is wrong with an order that it cannot obey")
  func revoke() throws {
    let server = try RoostProcess()
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    let wrong = [
      "{}", #"{"user":"ann","token":"j"}"#, #"{"user":1}"#, #"{"user":""}"#, #"{"user":"ann","for":"soon"}"#,
      #"{"user":"ann","for":"0"}"#, #"{"user":"ann","for":"9000h"}"#, #"{"user":"ann","for":60}"#,
      #"{"token":"\#(String(repeating: "x", count: 257))"}"#,
    ]
    for body in wrong {
      let answer = try server.admin("POST", "revoke", body: body)
      #expect(answer.status == 400, "\(body): \(answer)")
    }
    #expect(try server.admin("GET", "revoke").status == 405)
    #expect(try server.admin("POST", "revoke", body: #"{"user":"ann"}"#, token: "wrong").status == 401)
    #expect(try ann.settle().isEmpty)
    let answer = try server.admin("POST", "revoke", body: #"{"user":"ann","for":"1h"}"#)
    #expect(answer.status == 200, "\(answer)")
    #expect(try answer.json()["user"]?.asString == "ann")
    #expect((try answer.json()["until"]?.asInt ?? 0) > 1_700_000_000_000)
    #expect(try ann.expect("auth_failed").string("reason") == "revoked")
    #expect(try ann.expectClose() == 4401)
    let again = try server.connect("ann")
    #expect(try again.expect("auth_failed").string("reason") == "revoked")
    #expect(try again.expectClose() == 4401)
    #expect(try bob.settle().isEmpty)
  }

  @Test("shows where everyone is: presence, users, connections, nodes")
  func inspection() throws {
    let server = try RoostProcess(["--node-id", "n1"])
    let (first, second, bob) = (try server.connect("ann"), try server.connect("ann"), try server.connect("bob"))
    for client in [first, second, bob] { try client.join("chat:1/2") }
    let presence = try server.inspect("presence/chat:1%2F2")
    #expect(presence["count"]?.asInt == 3)
    #expect(presence["users"]?.asInt == 2)
    let ann = presence["members"]?.asArray?.first { $0["user"]?.asString == "ann" }
    let connections = ann?["connections"]?.asArray ?? []
    #expect(connections.count == 2)
    for connection in connections {
      #expect(connection["node"]?.asString == "n1")
      #expect(connection["transport"]?.asString == "websocket")
      #expect(connection["address"]?.asString == "127.0.0.1")
      #expect((connection["since"]?.asInt ?? 0) > 1_700_000_000_000)
    }
    let name = connections.first?["id"]?.asString ?? ""
    #expect(try server.inspect("connections/\(name)")["user"]?.asString == "ann")
    #expect(try server.inspect("users/ann")["count"]?.asInt == 2)
    #expect(try server.inspect("users/nobody")["count"]?.asInt == 0)
    let node = try server.inspect("nodes")["nodes"]?.asArray?.first
    #expect(node?["id"]?.asString == "n1")
    #expect(node?["connections"]?.asInt == 3)
    #expect(node?["rooms"]?.asInt == 1)
    for key: StaticString in ["version", "uptime", "messagesIn", "messagesOut", "memory"] { #expect(node?[key] != nil) }
  }

  @Test("lists rooms by prefix, page by page, without holes or repetition")
  func rooms() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    for n in 0..<25 { try ann.join("p:\(n)") }
    try ann.join("other")
    var (names, cursor): ([String], String?) = ([], nil)
    repeat {
      let page = try server.inspect("rooms?prefix=p:&limit=10" + (cursor.map { "&cursor=\($0)" } ?? ""))
      let rooms = page["rooms"]?.asArray ?? []
      #expect(rooms.count <= 10 && !rooms.isEmpty)
      #expect(rooms.allSatisfy { $0["members"]?.asInt == 1 })
      names += rooms.compactMap { $0["room"]?.asString }
      cursor = page["cursor"]?.asString
    } while cursor != nil && names.count < 100
    #expect(names.sorted() == (0..<25).map { "p:\($0)" }.sorted())
    #expect(try server.inspect("presence")["rooms"]?.asArray?.count == 26)
  }

  @Test("shows a room's history with positions, binary payloads in base64")
  func history() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    let epoch = try ann.join("r").string("epoch") ?? ""
    for n in 1...3 { try ann.publish("r", "\"n\":\(n)") }
    try ann.send(binary: [1, 1, 0x72, 0xFF, 0x00])
    _ = try ann.settle()
    let page = try server.inspect("history/r?since=\(epoch):1&limit=10")
    #expect(page["epoch"]?.asString == epoch)
    #expect(page["messages"]?.asArray?.map { $0["offset"]?.asInt } == [2, 3, 4])
    #expect(page["messages"]?.asArray?.last?["binary"]?.asString == "/wA=")
    #expect(try server.inspect("history/r?limit=1")["messages"]?.asArray?.count == 1)
    // An epoch that the room's does not continue: nothing of this one was seen.
    #expect(
      try server.inspect("history/r?since=1:3")["messages"]?.asArray?.map { $0["offset"]?.asInt } == [1, 2, 3, 4])
  }

  @Test("leaves the public port with --admin-port")
  func ownPort() throws {
    let port = try FreePort.find()
    let server = try RoostProcess(["--admin-port", "\(port)"])
    #expect(try server.admin("GET", "nodes").status == 404)
    let headers = ["Authorization: Bearer \(RoostProcess.adminToken)"]
    #expect(try HTTPClient(port: port).get("/admin/nodes", headers: headers).status == 200)
    #expect(try HTTPClient(port: port).get("/admin/nodes").status == 401)
  }
}
