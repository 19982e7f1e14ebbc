import JSONCore
import LoopCore
import Realtime
import TestSupport
import Testing

@testable import Tokens

/// A ring of keys over files that tests change, with a loop of its own.
private final class RingBench {
  let folder: TemporaryFolder
  let loop: EventLoop
  let ring: KeyRing
  private(set) var verdicts: [String: TokenVerdict] = [:]

  /// - Parameter set: what the set of keys holds; nil: there is none.
  init(set: [UInt8]?, secrets: String? = nil, waitMilliseconds: Int = 10_000) throws {
    folder = try TemporaryFolder()
    loop = try EventLoop()
    var configuration = KeyRing.Configuration()
    configuration.policy = Forge.anyTime
    configuration.waitMilliseconds = waitMilliseconds
    if let set {
      try folder.write("keys.json", set)
      configuration.setLocation = folder.path("keys.json")
    }
    if let secrets {
      try folder.write("secrets", Array(secrets.utf8))
      configuration.secretPath = folder.path("secrets")
    }
    ring = try KeyRing(loop, configuration, clock: { 1_000_000 }) { _, _ in }
  }

  func judge(_ name: String, _ token: String) {
    ring.judge(Array(token.utf8)) { [weak self] in self?.verdicts[name] = $0 }
  }

  /// Runs the loop until a token has its verdict.
  func verdict(on name: String, within seconds: Double = 15) throws -> TokenVerdict {
    let deadline = Deadline(within: seconds)
    while verdicts[name] == nil, deadline.millisecondsLeft > 0 { loop.tick(waitMillisecondsMax: 20) }
    guard let verdict = verdicts[name] else { throw TestFailure("no verdict on \(name)") }
    return verdict
  }
}

extension TokenVerdict {
  fileprivate var word: String {
    switch self {
    case .accepted: "accepted"
    case .refused: "refused"
    case .unavailable: "unavailable"
    }
  }
}

/// A key of an issuer.
private struct IssuerKey {
  let name: String
  private let key: SigningKey
  /// The key as a member of a set (RFC 8037 section 2).
  let published: String

  init(_ name: String, in folder: TemporaryFolder) throws {
    self.name = name
    let paths = try OpenSSL.makeKey(["-algorithm", "ED25519"], name: name, in: folder)
    key = try SigningKey(pem: try folder.read(paths.privatePath))
    let der = folder.path("\(name).der")
    try OpenSSL.run(["pkey", "-pubin", "-in", paths.publicPath, "-outform", "DER", "-out", der])
    // The last 32 bytes are the key (RFC 8410 section 4).
    let x = Base64URL.encode(Array(try folder.read(der).suffix(32)).span)
    published = #"{"kty":"OKP","crv":"Ed25519","kid":"\#(name)","x":"\#(String(decoding: x, as: UTF8.self))"}"#
  }

  static func set(_ keys: IssuerKey...) -> [UInt8] {
    Array(#"{"keys":[\#(keys.map(\.published).joined(separator: ","))]}"#.utf8)
  }

  /// A token that it has signed, under its own name, another, or none.
  func token(kid: String? = nil, isNamed: Bool = true) throws -> String {
    let header = isNamed ? #"{"alg":"EdDSA","kid":"\#(kid ?? name)"}"# : #"{"alg":"EdDSA"}"#
    let signed = "\(Forge.encode(header)).\(Forge.encode(#"{"sub":"ann"}"#))"
    let signature = try #require(key.sign(Array(signed.utf8), by: .edDSA))
    return "\(signed).\(String(decoding: Base64URL.encode(signature.span), as: UTF8.self))"
  }
}

@Suite("Ring of keys")
struct KeyRingTests {
  private let old: IssuerKey
  private let new: IssuerKey

  init() throws {
    let folder = try TemporaryFolder()
    (old, new) = (try IssuerKey("old", in: folder), try IssuerKey("new", in: folder))
  }

  @Test("has a token of a newer key wait for the set that has it, though the set was read a moment ago")
  func rotation() throws {
    let bench = try RingBench(set: IssuerKey.set(old))
    bench.judge("known", try old.token())
    #expect(try bench.verdict(on: "known").word == "accepted")
    bench.judge("new", try new.token())
    #expect(bench.verdicts["new"] == nil)
    try bench.folder.write("keys.json", IssuerKey.set(new))
    #expect(try bench.verdict(on: "new").word == "accepted")
  }

  @Test("has a token without a name wait, too, when no key fits it: an issuer of one key gives it none")
  func nameless() throws {
    let bench = try RingBench(set: IssuerKey.set(old))
    bench.judge("new", try new.token(isNamed: false))
    #expect(bench.verdicts["new"] == nil)
    try bench.folder.write("keys.json", IssuerKey.set(new))
    #expect(try bench.verdict(on: "new").word == "accepted")
  }

  @Test("refuses a token by a set that was asked for after it came, and not before")
  func refusal() throws {
    let bench = try RingBench(set: IssuerKey.set(old))
    bench.judge("x", try new.token())
    #expect(try bench.verdict(on: "x").word == "refused")
    bench.judge("forged", try new.token(kid: "old"))
    #expect(bench.verdicts["forged"]?.word == "refused")
    // Known at once: a signature that a key of its name did not make, a secret, which no set has.
    bench.judge("secret", Forge.token(#"{"sub":"ann"}"#))
    #expect(bench.verdicts["secret"]?.word == "refused")
  }

  @Test("calls a token neither right nor wrong while the set cannot be read, and goes on judging by the keys it has")
  func unreadable() throws {
    for broken in [nil, Array("<html>".utf8), Array(#"{"keys":[]}"#.utf8)] {
      let bench = try RingBench(set: IssuerKey.set(old), waitMilliseconds: 1500)
      if let broken { try bench.folder.write("keys.json", broken) } else { try bench.folder.remove("keys.json") }
      bench.judge("new", try new.token())
      bench.judge("known", try old.token())
      #expect(bench.verdicts["known"]?.word == "accepted")
      #expect(try bench.verdict(on: "new").word == "unavailable")
    }
  }

  @Test("lets a flood of unknown names cost few readings, and starves nobody who is known")
  func flood() throws {
    let bench = try RingBench(set: IssuerKey.set(old))
    for n in 0..<2000 { bench.judge("x\(n)", try new.token(kid: "x\(n)")) }
    bench.judge("known", try old.token())
    #expect(bench.verdicts["known"]?.word == "accepted")
    try bench.folder.write("keys.json", IssuerKey.set(new))
    bench.judge("new", try new.token())
    #expect(try bench.verdict(on: "new").word == "accepted")
    #expect(try bench.verdict(on: "x1999").word == "refused")
  }

  @Test("bounds what waits: beyond it a client is told to come again")
  func bound() {
    var waiting = WaitingTokens()
    let token = [UInt8](repeating: 0x61, count: TokenLimits.tokenBytesMax)
    let fits = TokenLimits.waitingBytesMax / token.count
    func entry(_ moment: UInt64) -> WaitingTokens.Entry {
      WaitingTokens.Entry(token: token, arrivedAt: moment, deadline: moment + 10, reason: "") { _ in }
    }
    var added = 0
    for n in 0..<(fits + 5) where waiting.add(entry(UInt64(n))) { added += 1 }
    #expect(added == fits)
    #expect(waiting.takeDue(at: 10).count == 1 && waiting.nextDeadline == 11)
    #expect(waiting.take(until: 2).count == 2)
    let again = (0..<4).count { _ in waiting.add(entry(5000)) }
    #expect(again == 3)
    #expect(waiting.takeAll().count == fits && waiting.isEmpty)
  }

  @Test("reads key files again by itself when they could not be read, and refuses no token by what is old meanwhile")
  func unreadableFile() throws {
    let secrets = ["first secret of at least 32 bytes.", "second secret of at least 32 byte"]
    let bench = try RingBench(set: nil, secrets: secrets[0])
    let token = Forge.token(#"{"sub":"ann"}"#, secret: Array(secrets[1].utf8))
    bench.judge("early", token)
    #expect(bench.verdicts["early"]?.word == "refused")
    try bench.folder.write("secrets", [])
    bench.ring.reload()
    bench.judge("old", Forge.token(#"{"sub":"ann"}"#, secret: Array(secrets[0].utf8)))
    #expect(bench.verdicts["old"]?.word == "accepted")
    bench.judge("new", token)
    #expect(bench.verdicts["new"] == nil)
    try bench.folder.write("secrets", Array(secrets[1].utf8))
    #expect(try bench.verdict(on: "new").word == "accepted")
    bench.judge("old again", Forge.token(#"{"sub":"ann"}"#, secret: Array(secrets[0].utf8)))
    #expect(bench.verdicts["old again"]?.word == "refused")
  }
}
