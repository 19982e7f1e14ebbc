import Glibc
import LoopCore
import TestSupport
import Testing
import TimeCore
import Transfers

@testable import Webhooks

@Suite("The client of webhooks, real receivers", .serialized)
struct WebhookClientTests {
  private typealias Outcome = Result<TransferAnswer, TransferFault>

  private let loop: EventLoop
  private let receiver: WebhookReceiver

  init() throws {
    loop = try EventLoop()
    receiver = try WebhookReceiver()
  }

  private func client(
    _ url: String? = nil, timeout: Interval = .seconds(10)
  ) -> WebhookClient {
    WebhookClient(
      loop, url: url ?? receiver.url, secrets: [Array("first".utf8), Array("second".utf8)], timeout: timeout,
      agent: "Roost/test")
  }

  private func drive(until isSo: () -> Bool) throws {
    let deadline = Deadline(within: 20)
    while !isSo() {
      guard deadline.millisecondsLeft > 0 else { throw TestFailure("the loop did not come that far within 20 s") }
      loop.tick(waitMillisecondsMax: 50)
    }
  }

  private func post(_ client: WebhookClient, _ body: String = "{}") throws -> Outcome {
    var outcome: Outcome?
    client.post(Array(body.utf8)) { outcome = $0 }
    try drive { outcome != nil }
    return outcome!  // Safe because the loop has just been driven until it is there.
  }

  private func kind(_ outcome: Outcome) -> TransferFault.Kind? {
    if case .failure(let fault) = outcome { fault.kind } else { nil }
  }

  @Test("posts signed JSON with its own headers and those it is given, and returns status and body")
  func request() throws {
    defer { loop.close() }
    try receiver.folder.write("body", Array(#"{"ok":true}"#.utf8))
    try receiver.folder.write("status", Array("201".utf8))
    let client = client()
    var outcome: Outcome?
    let cookie = (name: Array("Cookie".utf8), value: Array("a=b\r\nEvil: 1".utf8))
    client.post(Array(#"{"n":1}"#.utf8), headers: [cookie]) { outcome = $0 }
    #expect(outcome == nil)
    try drive { outcome != nil }
    let response = try #require(try outcome?.get())
    #expect(response.status == 201 && response.isSuccess)
    #expect(String(decoding: response.body, as: UTF8.self) == #"{"ok":true}"#)
    let request = try #require(receiver.requests(to: "/hook").first)
    #expect(request.body == Array(#"{"n":1}"#.utf8))
    #expect(request.headers["content-type"] == "application/json")
    #expect(request.headers["user-agent"] == "Roost/test")
    #expect(request.headers["cookie"] == "a=bEvil: 1" && request.headers["evil"] == nil)
    let signature = try #require(request.headers["roost-signature"])
    let seconds = try #require(UInt64(signature.dropFirst(2).prefix { $0 != "," }))
    #expect(signature == WebhookSignature.value(of: request.body, seconds: seconds, secret: Array("first".utf8)))
    let now = Clock.wallMilliseconds() / 1000
    #expect(seconds <= now && seconds + 60 > now)
  }

  @Test("does not follow a redirect: nobody else gets the body and its signature")
  func redirect() throws {
    defer { loop.close() }
    try receiver.folder.write("status", Array("307".utf8))
    #expect(try post(client()).get().status == 307)
    #expect(receiver.requests(to: "/elsewhere").isEmpty)
    #expect(receiver.requests().count == 1)
  }

  @Test("ends a request that is not answered in time, also one that waits for a connection, and none twice")
  func stalled() throws {
    defer { loop.close() }
    try receiver.folder.write("stall", [])
    let client = client(timeout: .milliseconds(300))
    var kinds: [TransferFault.Kind?] = []
    let count = WebhookLimits.parallelMax + 5
    for _ in 0..<count { client.post([]) { kinds.append(kind($0)) } }
    #expect(client.pendingCount == count)
    try drive { kinds.count == count }
    #expect(kinds.allSatisfy { $0 == .timedOut })
    #expect(client.pendingCount == 0)
    loop.tick(waitMillisecondsMax: 50)
    #expect(kinds.count == count)
    #expect(receiver.requests().count <= WebhookLimits.parallelMax)
  }

  @Test("refuses a request when too many wait, and answers all others")
  func tooMany() throws {
    defer { loop.close() }
    try receiver.folder.write("stall", [])
    let client = client(timeout: .seconds(60))
    var faults = 0
    var answers = 0
    let count = WebhookLimits.parallelMax + WebhookLimits.waitingMax + 3
    for _ in 0..<count {
      client.post([]) {
        if kind($0) == .tooManyRequests { faults += 1 }
        if case .success = $0 { answers += 1 }
      }
    }
    try drive { faults == 3 }
    unlink(receiver.folder.path("stall"))
    try drive { answers == count - 3 }
    #expect(faults == 3)
  }

  @Test("uses its connections again, and makes a new one when the receiver has closed it")
  func connections() throws {
    defer { loop.close() }
    let client = client()
    for _ in 0..<5 { #expect(try post(client).get().status == 200) }
    #expect(Set(receiver.requests().map { $0.headers["x-test-peer"] }).count == 1)
    receiver.stop()
    #expect(kind(try post(client)) == .unreachable)
    try receiver.start()
    #expect(try post(client).get().status == 200)
  }

  @Test("takes 64 KiB of a body, fails with more, and reads no body that is not wanted")
  func longBody() throws {
    defer { loop.close() }
    let client = client()
    try receiver.folder.write("body", [UInt8](repeating: 0x61, count: WebhookLimits.responseBytesMax))
    #expect(try post(client).get().body.count == WebhookLimits.responseBytesMax)
    try receiver.folder.write("body", [UInt8](repeating: 0x61, count: WebhookLimits.responseBytesMax + 1))
    #expect(kind(try post(client)) == .tooLong)
    var outcome: Outcome?
    client.post([], keepsBody: false) { outcome = $0 }
    try drive { outcome != nil }
    let response = try #require(try outcome?.get())
    #expect(response.status == 200 && response.body.isEmpty)
  }

  @Test("verifies the receiver's certificate, and resolves names off the loop")
  func certificates() throws {
    defer { loop.close() }
    let certificates = try Certificates()
    let known = try WebhookReceiver(tls: certificates.server)
    let stranger = try WebhookReceiver(tls: certificates.stranger)
    #expect(kind(try post(client(known.url))) == .untrusted)
    setenv("SSL_CERT_FILE", certificates.authority, 1)
    defer { unsetenv("SSL_CERT_FILE") }
    #expect(try post(client(known.url)).get().status == 200)
    #expect(kind(try post(client(stranger.url))) == .untrusted)
    #expect(kind(try post(client("http://no-such-name.invalid/"))) == .unknownHost)
  }
}
