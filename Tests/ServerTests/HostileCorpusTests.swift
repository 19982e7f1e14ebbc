import Compression
import Foundation
import TestSupport
import Testing
import WebSocketCore

/// The inputs that the fuzzer begins with and those it has found, thrown at a node over real sockets.
@Suite("One node, hostile corpus")
struct HostileCorpusTests {
  private static func corpus(_ target: String) throws -> [(name: String, bytes: [UInt8])] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fuzz/corpus/\(target)")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
      ("\(target)/\(name)", [UInt8](try Data(contentsOf: folder.appending(path: name))))
    }
  }

  /// Two who behave, and a way to see that they notice nothing.
  private struct Pair {
    let ann: WebSocketClient
    let bob: WebSocketClient
    private var count = 0

    init(_ server: RoostProcess) throws {
      (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
      try ann.join("pair")
      try bob.join("pair")
      _ = try ann.settle()
    }

    mutating func talk(_ comment: String) throws {
      count += 1
      #expect(try ann.publish("pair", "\"n\":\(count)") == count, "\(comment)")
      #expect(try bob.expect("message").int("n") == count, "\(comment)")
    }
  }

  private static func frame(_ opcode: Opcode, _ payload: [UInt8], compressed: Bool = false) -> [UInt8] {
    var frame: [UInt8] = []
    FrameWriter.appendMaskedFrame(opcode, key: MaskingKey(0x0102_0304), payload: payload.span, to: &frame)
    // RFC 7692 section 6: RSV1 says that the message is compressed.
    if compressed { frame[0] |= 0x40 }
    return frame
  }

  @Test("broken handshakes, requests and PROXY headers get an answer or an end, and a pair notices nothing")
  func requests() throws {
    let server = try RoostProcess()
    var pair = try Pair(server)
    for target in ["handshake", "http", "address", "settings", "redis"] {
      for (name, bytes) in try Self.corpus(target) {
        let connection = try TCPConnection(port: server.port)
        // The node may have closed before the last byte.
        try? connection.send(bytes)
        connection.finishSending()
        #expect(connection.read(until: Deadline(within: 10)) != .nothing, "\(name)")
      }
      try pair.talk(target)
    }
    #expect(server.process.end() == nil)
  }

  @Test("broken frames, texts and envelopes end their own connection at most, and a pair notices nothing")
  func frames() throws {
    let server = try RoostProcess(["--max-message", "8k"])
    var pair = try Pair(server)
    let raw = try Self.corpus("websocket")
    let texts = try Self.corpus("json").map { ($0.name, Self.frame(.text, $0.bytes)) }
    let envelopes = try Self.corpus("envelope").map { ($0.name, Self.frame(.binary, $0.bytes)) }
    let compressed = try Self.corpus("json").prefix(20).map { ($0.name, Self.frame(.text, $0.bytes, compressed: true)) }
    for (name, bytes) in raw + texts + envelopes + compressed {
      let client = try WebSocketClient(port: server.port, target: "/ws?user=hostile", deflate: true)
      try? client.connection.send(bytes)
      // Whether it is still served or was closed: it is one of the two, at once.
      try? client.send(#"{"type":"ping"}"#)
      let event = try client.take("an answer to \(name)") { event in
        switch event {
        case .close, .end: true
        case .text(let text): (try? Received(text).type).map { $0 == "pong" || $0 == "error" } ?? false
        default: false
        }
      }
      if case .end = event { Issue.record("\(name): ended without a close frame") }
    }
    try pair.talk("frames")
    #expect(server.process.end() == nil)
    try eventually("only the pair is left", within: 15) {
      try server.metric(#"roost_connections{transport="websocket"}"#) == 2
    }
  }

  /// A message that inflates to so many bytes.
  private static func bomb(_ count: Int) throws -> [UInt8] {
    let blanks = [UInt8](repeating: 0x20, count: count)
    let deflated = MessageDeflater(windowBits: 15).deflate(blanks.span)
    return try #require(deflated)
  }

  @Test("deflate bombs end with 1009 and leave no memory behind (RFC 7692 section 8)")
  func bombs() throws {
    let server = try RoostProcess(["--max-message", "64k"])
    var pair = try Pair(server)
    let before = try server.metric("process_resident_memory_bytes")
    let bomb = try Self.bomb(32 << 20)
    // 8 MiB in what max-message lets pass: the announced length is no reason to refuse it.
    let fitting = try Self.bomb(8 << 20)
    #expect(fitting.count < 64 * 1024)
    for bytes in [bomb, fitting] {
      for _ in 0..<8 {
        let client = try WebSocketClient(port: server.port, target: "/ws?user=bomb", deflate: true)
        try? client.connection.send(Self.frame(.text, bytes, compressed: true))
        #expect(try client.expectClose() == 1009)
      }
      try pair.talk("bombs")
    }
    let grown = try server.metric("process_resident_memory_bytes") - before
    #expect(grown < 16_777_216, "\(grown) bytes")
  }

  @Test("a crowd that leaves heads and frames unfinished holds descriptors, not the node")
  func slowloris() throws {
    let server = try RoostProcess(["--max-connections-per-address", "120"])
    var pair = try Pair(server)
    var crowd: [TCPConnection] = []
    for n in 0..<100 {
      let connection = try TCPConnection(port: server.port)
      if n % 2 == 0 {
        try connection.send("GET /ws HTTP/1.1\r\nHost: a\r\nX: ")
      } else {
        let request = HTTPClient.request("GET", "/ws?user=slow", headers: WebSocketClient.handshakeHeaders())
        try connection.send(Array(request.utf8) + [0x81, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0, 0x7B])
      }
      crowd.append(connection)
    }
    for _ in 0..<5 { try pair.talk("crowd") }
    // The crowd has used up its address; others of it are turned away.
    for _ in 0..<40 { crowd.append(try TCPConnection(port: server.port)) }
    #expect(try HTTPClient.readAnswer(try #require(crowd.last)).status == 429)
    try pair.talk("full")
    withExtendedLifetime(crowd) {}
  }
}
