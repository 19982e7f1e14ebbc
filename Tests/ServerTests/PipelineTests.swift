import TestSupport
import Testing
import TimeCore

@testable import Server

@Suite("One node, many requests on a connection")
struct PipelineTests {
  @Test("holds one answer for a reader of none, however many requests came at once, and serves the others")
  func unread() throws {
    let server = try RoostProcess()
    let page = try server.http.get("/roost.js")
    let request = HTTPClient.request("GET", "/roost.js")
    let burst = Array(String(repeating: request, count: 65_536 / request.utf8.count).utf8)
    let connections = try (0..<8).map { _ in try TCPConnection(port: server.port, receiveBytes: 4096) }
    for connection in connections { try connection.send(burst) }
    #expect(try server.http.get("/healthz").status == 200)
    // One answer each in the node; what the kernel holds of it besides is not the node's.
    for _ in 0..<20 {
      #expect(try server.metric("roost_queue_bytes") <= Double(8 * (page.body.count + 1024)))
    }
    // Whoever reads on gets all of them, in order and whole.
    let reader = connections[0]
    var rest: [UInt8] = []
    for number in 1...100 {
      let answer = try HTTPClient.readAnswer(reader, buffered: rest, within: 20)
      #expect(answer.status == 200 && answer.body == page.body, "answer \(number)")
      rest = answer.rest
    }
  }

  @Test("answers pipelined requests of every kind in order, the last one closing (RFC 9112 section 9.3.2)")
  func mixed() throws {
    let server = try RoostProcess()
    let connection = try TCPConnection(port: server.port)
    let admin = ["Authorization: Bearer \(RoostProcess.adminToken)"]
    var text = ""
    var expected: [Int] = []
    for _ in 0..<50 {
      text += HTTPClient.request("GET", "/admin/rooms", headers: admin) + HTTPClient.request("GET", "/")
      text += HTTPClient.request("POST", "/healthz", body: "ignored") + HTTPClient.request("GET", "/nothing")
      expected += [200, 200, 405, 404]
    }
    text += HTTPClient.request("GET", "/healthz", headers: ["Connection: close"])
    try connection.send(text)
    var statuses: [Int] = []
    var rest: [UInt8] = []
    for _ in 0...expected.count {
      let answer = try HTTPClient.readAnswer(connection, buffered: rest)
      statuses.append(answer.status)
      rest = answer.rest
    }
    #expect(statuses == expected + [200])
    #expect(connection.read(until: Deadline(within: 5)) == .end)
  }

  @Test("opens a WebSocket behind pipelined requests, and takes the frames that came with it")
  func upgrade() throws {
    let server = try RoostProcess(["--echo"])
    let connection = try TCPConnection(port: server.port)
    let handshake = HTTPClient.request("GET", "/echo", headers: WebSocketClient.handshakeHeaders())
    // A masked frame with the text `hi` and a key of zeros.
    let frame: [UInt8] = [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]
    try connection.send(Array((HTTPClient.request("GET", "/roost.js") + handshake).utf8) + frame)
    let first = try HTTPClient.readAnswer(connection)
    let second = try HTTPClient.readAnswer(connection, buffered: first.rest)
    #expect([first.status, second.status] == [200, 101])
    var bytes = second.rest
    try eventually("the echo comes") {
      if case .bytes(let more) = connection.read(until: Deadline(within: 0.1)) { bytes += more }
      return bytes.elementsEqual([0x81, 0x02, 0x68, 0x69])
    }
  }

  @Test("does not read a peer of /echo that does not read its echoes")
  func echo() throws {
    let server = try RoostProcess(["--echo"])
    let client = try WebSocketClient(port: server.port, target: "/echo", receiveBytes: 4096)
    var frame: [UInt8] = [0x82, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0]
    frame += [UInt8](repeating: 7, count: 65_535)
    var sent = 0
    // The sender is stopped by TCP: by far less than what it would send to a node that keeps everything.
    while sent < 64 << 20 {
      let count = try client.connection.sendSome(frame[...], within: 1)
      sent += count
      if count < frame.count { break }
    }
    #expect(sent < 64 << 20)
    #expect(try server.metric("roost_queue_bytes") < Double(2 << 20))
  }

  @Test("keeps a connection that was used longer than a balancer's idle time begins, and closes a slow second request")
  func idle() throws {
    let server = try RoostProcess()
    let kept = try TCPConnection(port: server.port)
    let slow = try TCPConnection(port: server.port)
    for connection in [kept, slow] {
      try connection.send(HTTPClient.request("GET", "/healthz"))
      #expect(try HTTPClient.readAnswer(connection).status == 200)
    }
    let start = Deadline.now()
    var outcome = TCPConnection.Read.nothing
    // A byte now and then must not keep it open; the deadline runs from the first.
    while outcome == .nothing, Deadline.now() - start < 20_000_000_000 {
      try? slow.send("\r\n")
      outcome = slow.read(until: Deadline(within: 0.5))
    }
    #expect(outcome == .end, "a slow second request was kept")
    #expect(Deadline.now() - start > 5_000_000_000)
    // By now the other one has been idle for longer than a first request may take.
    try eventually("more than 10 s are over", within: 20) { Deadline.now() - start > 11_500_000_000 }
    try kept.send(HTTPClient.request("GET", "/healthz"))
    #expect(try HTTPClient.readAnswer(kept).status == 200)
  }

  @Test("gives the long idle time to a bounded number of connections, longer than any balancer waits")
  func places() {
    #expect(KeepAlive.long > .seconds(600))
    var keepAlive = KeepAlive(places: 2)
    let first = [keepAlive.take(), keepAlive.take(), keepAlive.take()]
    #expect(first == [true, true, false])
    keepAlive.release()
    let second = [keepAlive.take(), keepAlive.take()]
    #expect(second == [true, false])
  }
}
