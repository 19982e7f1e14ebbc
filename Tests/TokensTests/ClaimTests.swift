import LoopCore
import Realtime
import Testing

@testable import Tokens

@Suite("Tokens, claims")
struct ClaimTests {
  /// 2023-11-14, in seconds and in milliseconds.
  private static let seconds: UInt64 = 1_700_000_000
  private static let now = seconds * 1000

  private func judge(
    _ claims: String, _ change: (inout TokenPolicy) -> Void = { _ in }
  ) -> Result<Identity, TokenFault> {
    var policy = Forge.anyTime
    change(&policy)
    let verifier = TokenVerifier(keys: [TokenKey(.secret(SharedSecret(Forge.secret)))], policy: policy)
    return Result { () throws(TokenFault) in
      try verifier.judge(Array(Forge.token(claims).utf8).span, now: ClaimTests.now)
    }
  }

  private func fault(_ claims: String, _ change: (inout TokenPolicy) -> Void = { _ in }) -> TokenFault? {
    if case .failure(let fault) = judge(claims, change) { fault } else { nil }
  }

  @Test("reads everything that a token can say")
  func everything() throws {
    let identity = try judge(
      #"{"iat":1699999990,"sub":"ann","exp":1700000060.5,"nbf":1699999990,"jti":"t1","iss":"x","more":{},"#
        + #""info":{"name":"Ann \u00e9","n":1.50},"rooms":["chat:*","r:news:*"],"permissions":["other","broadcast"]}"#
    ).get()
    #expect(identity.user == Array("ann".utf8))
    #expect(identity.expiresAt == 1_700_000_060_500)
    #expect(identity.issuedAt == 1_699_999_990_000)
    #expect(identity.tokenID == Array("t1".utf8))
    #expect(identity.info == Array(#"{"name":"Ann \u00e9","n":1.50}"#.utf8))
    #expect(identity.mayBroadcast)
    #expect(identity.rooms == RoomGrants([Array("chat:*".utf8), Array("r:news:*".utf8)]))
  }

  @Test(
    "refuses claims that hold half of a surrogate pair anywhere, and says so",
    arguments: [
      #"{"sub":"ann","info":"\ud83d"}"#, #"{"sub":"ann","info":{"\udc00":1}}"#,
      #"{"sub":"ann","more":["\ud83d\ud83d"]}"#,
      #"{"sub":"a\ud800"}"#, #"{"sub":"ann","info":"\\\ud83d\u0041"}"#,
    ])
  func loneSurrogates(claims: String) {
    #expect(fault(claims) == .malformed("its claims hold half of a surrogate pair, such as a cut emoji"))
  }

  @Test("takes whole surrogate pairs, and backslashes before what looks like half of one")
  func wholeSurrogates() throws {
    for claims in [#"{"sub":"ann","info":"\ud83d\ude00"}"#, #"{"sub":"ann","info":"\\ud83d"}"#] {
      #expect(try judge(claims).get().info != nil)
    }
  }

  @Test("gives no permission that was not named, and all rooms when none were")
  func least() throws {
    let identity = try judge(#"{"sub":"ann"}"#).get()
    #expect(!identity.mayBroadcast && identity.rooms == nil && identity.expiresAt == nil && identity.info == nil)
    // An empty list is no list of all.
    #expect(try judge(#"{"sub":"ann","rooms":[]}"#).get().rooms == RoomGrants([]))
    #expect(try !judge(#"{"sub":"ann","permissions":["Broadcast","broadcast "]}"#).get().mayBroadcast)
  }

  @Test("enforces exp and nbf with leeway on both, to the millisecond (RFC 7519 sections 4.1.4 and 4.1.5)")
  func times() throws {
    let s = ClaimTests.seconds
    let table: [(String, TokenFault?)] = [
      (#""exp":\#(s + 1)"#, nil), (#""exp":\#(s)"#, nil), (#""exp":\#(s - 4)"#, nil), (#""exp":\#(s - 5)"#, .expired),
      (#""exp":0"#, .expired), (#""nbf":\#(s)"#, nil), (#""nbf":\#(s + 5)"#, nil),
      (#""nbf":\#(s + 5).001"#, .notYetValid), (#""nbf":\#(s + 6),"exp":\#(s + 9)"#, .notYetValid),
      (#""exp":1.7000001e9"#, nil), (#""iat":\#(s + 1000)"#, nil),
    ]
    for (claim, expected) in table {
      #expect(fault(#"{"sub":"ann",\#(claim)}"#) == expected, "\(claim)")
    }
    #expect(fault(#"{"sub":"ann","exp":\#(s)}"#) { $0.leewayMilliseconds = 0 } == .expired)
    #expect(fault(#"{"sub":"ann","exp":\#(s).001}"#) { $0.leewayMilliseconds = 0 } == nil)
  }

  @Test("takes no token that never expires, unless that was asked for")
  func endless() throws {
    func standard(_ policy: inout TokenPolicy) { policy.requiresExpiry = TokenPolicy().requiresExpiry }
    let fault = fault(#"{"sub":"ann","nbf":0,"iat":0}"#, standard)
    #expect(fault == .endless)
    #expect(fault?.reason.contains("exp") == true && fault?.reason.contains("--jwt-require-exp") == true)
    #expect(self.fault(#"{"sub":"ann","exp":\#(ClaimTests.seconds + 1)}"#, standard) == nil)
    #expect(self.fault(#"{"sub":"ann"}"#) == nil)
  }

  @Test("gives a token without rooms the rooms that the policy says, and one with rooms its own")
  func defaultRooms() throws {
    func lobby(_ policy: inout TokenPolicy) { policy.defaultRooms = RoomGrants([Array("lobby".utf8)]) }
    #expect(try judge(#"{"sub":"ann"}"#, lobby).get().rooms == RoomGrants([Array("lobby".utf8)]))
    #expect(try judge(#"{"sub":"ann","rooms":["a"]}"#, lobby).get().rooms == RoomGrants([Array("a".utf8)]))
    #expect(try judge(#"{"sub":"ann","rooms":[]}"#, lobby).get().rooms == RoomGrants([]))
  }

  @Test("reads the permission to send direct messages")
  func direct() throws {
    #expect(try judge(#"{"sub":"ann","permissions":["direct"]}"#).get().mayDirect)
    #expect(try !judge(#"{"sub":"ann","permissions":["broadcast"]}"#).get().mayDirect)
  }

  @Test("ends a connection at exp; one that was let in by the leeway alone at the leeway's end")
  func end() throws {
    let s = ClaimTests.seconds
    #expect(try judge(#"{"sub":"ann","exp":\#(s + 1)}"#).get().expiresAt == (s + 1) * 1000)
    #expect(try judge(#"{"sub":"ann","exp":\#(s - 1)}"#).get().expiresAt == (s + 4) * 1000)
  }

  @Test("refuses dates that are none: milliseconds, negative, words", arguments: ["exp", "nbf", "iat"])
  func dates(name: String) {
    for value in ["1700000000000", "-1", #""1700000000""#, "null", "true", "1e400", "[1]", "{}"] {
      #expect(
        fault(#"{"sub":"ann","\#(name)":\#(value)}"#) == .claim("exp, nbf and iat must be seconds since 1970"),
        "\(value)")
    }
  }

  @Test("needs a user whose name fits everywhere")
  func subject() {
    #expect(fault("{}") == .claim("sub, the user, is missing"))
    for value in ["7", "null", #"["ann"]"#] {
      #expect(fault(#"{"sub":\#(value)}"#) == .claim("sub must be a string"), "\(value)")
    }
    let long = String(repeating: "a", count: 201)
    for value in ["", #"\u0000"#, #"a\nb"#, long] {
      #expect(fault(#"{"sub":"\#(value)"}"#) == .claim("sub must be 1 to 200 bytes without control characters"))
    }
    #expect(fault(#"{"sub":"\#(long.dropLast())"}"#) == nil)
    #expect(fault(#"{"sub":"\ud800"}"#) != nil)
  }

  @Test("takes the last of repeated claims, for all of them alike (RFC 7519 section 4)")
  func repeated() throws {
    #expect(try judge(#"{"sub":"eve","sub":"ann"}"#).get().user == Array("ann".utf8))
    #expect(fault(#"{"sub":"ann","exp":9999999999,"exp":1}"#) == .expired)
    #expect(fault(#"{"sub":"ann","\u0065xp":1}"#) == .expired)
  }

  @Test("compares aud with the names of this server; without a name of its own it takes no token for others")
  func audience() {
    func named(_ policy: inout TokenPolicy) {
      policy.audiences = ["chat", "https://chat.example"].map { Array($0.utf8) }
    }
    #expect(fault(#"{"sub":"ann","aud":"chat"}"#) == .audience)
    #expect(fault(#"{"sub":"ann","aud":[]}"#) == .audience)
    for value in [#""chat""#, #"["x","https://chat.example"]"#, #"["chat"]"#] {
      #expect(fault(#"{"sub":"ann","aud":\#(value)}"#, named) == nil, "\(value)")
    }
    for value in [#""Chat""#, #"["x"]"#, "[]", #""chat,x""#] {
      #expect(fault(#"{"sub":"ann","aud":\#(value)}"#, named) == .audience, "\(value)")
    }
    #expect(fault(#"{"sub":"ann"}"#, named) == .audience)
    #expect(fault(#"{"sub":"ann","aud":7}"#, named) == .claim("aud must be a string or a list of them"))
    #expect(fault(#"{"sub":"ann","aud":[["chat"]]}"#, named) == .claim("aud must be a string or a list of them"))
  }

  @Test("compares iss with the issuers that are trusted, if any are named")
  func issuer() {
    func trusting(_ policy: inout TokenPolicy) { policy.issuers = [Array("https://id.example".utf8)] }
    #expect(fault(#"{"sub":"ann","iss":"https://id.example"}"#, trusting) == nil)
    #expect(fault(#"{"sub":"ann","iss":"https:\/\/id.example"}"#, trusting) == nil)
    for claims in [#"{"sub":"ann"}"#, #"{"sub":"ann","iss":"https://id.example/"}"#] {
      #expect(fault(claims, trusting) == .issuer, "\(claims)")
    }
    #expect(fault(#"{"sub":"ann","iss":["https://id.example"]}"#, trusting) == .claim("iss must be a string"))
  }

  @Test("refuses grants that are not lists of texts, rather than granting all")
  func grants() {
    for value in ["null", #""chat:*""#, "{}", "[1]", #"["a",["b"]]"#, "true"] {
      #expect(fault(#"{"sub":"ann","rooms":\#(value)}"#) == .claim("rooms must be a list of globs"), "\(value)")
      #expect(
        fault(#"{"sub":"ann","permissions":\#(value)}"#) == .claim("permissions must be a list of words"), "\(value)")
    }
    let many = Array(repeating: #""a""#, count: 257).joined(separator: ",")
    #expect(fault(#"{"sub":"ann","rooms":[\#(many)]}"#) == .claim("rooms has more than 256 globs"))
    #expect(fault(#"{"sub":"ann","rooms":[""]}"#) == .claim("a glob in rooms must be 1 to 200 bytes"))
  }

  @Test("bounds info and jti, which are kept")
  func sizes() {
    let long = String(repeating: "x", count: 2047)
    #expect(fault(#"{"sub":"ann","info":"\#(long)"}"#) == .claim("info is longer than 2 KiB"))
    #expect(fault(#"{"sub":"ann","info":"\#(long.dropLast())"}"#) == nil)
    #expect(fault(#"{"sub":"ann","jti":""}"#) == .claim("jti must be 1 to 200 bytes"))
    #expect(fault(#"{"sub":"ann","jti":7}"#) == .claim("jti must be a string"))
  }

  @Test("refuses claims that are no JSON object", arguments: ["", "[]", "7", "null", "{", #"{"sub":"ann"}x"#, "{a:1}"])
  func noObject(text: String) {
    #expect(fault(text) == .malformed("its claims are not a JSON object"))
  }
}
