import Testing

@testable import Realtime

@Suite("Revocations")
struct RevocationTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test("reads back what it wrote, whatever the names hold")
  func text() {
    for name in ["ann", "a:b", ":", "u:1:x", "é\n\u{0}"] {
      for subject in [Revocation.Subject.token(bytes(name)), .user(bytes(name), issuedUntil: 1_700_000_000_123)] {
        let text = subject.text
        #expect(Revocation.Subject(text: text.span) == subject, "\(name)")
      }
    }
    for text in ["", "t:", "u:", "u:1", "u:1:", "u:x:ann", "x:ann", "ann", "t", "u::ann"] {
      let bytes = bytes(text)
      #expect(Revocation.Subject(text: bytes.span) == nil, "\(text)")
    }
  }

  @Test("covers the tokens of a user issued until then and those that do not say, and no later ones")
  func users() {
    var list = RevocationList()
    list.insert(Revocation(subject: .user(bytes("ann"), issuedUntil: 1000), until: 5000))
    func covers(_ user: String, issuedAt: UInt64?, at now: UInt64 = 2000) -> Bool {
      list.covers(Identity(user: bytes(user), issuedAt: issuedAt), at: now)
    }
    #expect(covers("ann", issuedAt: 999) && covers("ann", issuedAt: 1000) && covers("ann", issuedAt: nil))
    #expect(!covers("ann", issuedAt: 1001) && !covers("bob", issuedAt: 1))
    #expect(!covers("ann", issuedAt: 1, at: 5000))
    // A later and shorter one adds to the first, and does not end it.
    list.insert(Revocation(subject: .user(bytes("ann"), issuedUntil: 2000), until: 3000))
    #expect(covers("ann", issuedAt: 1500) && !covers("ann", issuedAt: 1500, at: 3000))
    #expect(covers("ann", issuedAt: 900, at: 3000))
  }

  @Test("covers a token by its id, and forgets it when its time is up")
  func tokens() {
    var list = RevocationList()
    list.insert(Revocation(subject: .token(bytes("j1")), until: 5000))
    list.insert(Revocation(subject: .token(bytes("j1")), until: 3000))
    func covers(_ id: String?, at now: UInt64) -> Bool {
      list.covers(Identity(user: bytes("ann"), tokenID: id.map(bytes)), at: now)
    }
    #expect(covers("j1", at: 4999) && !covers("j1", at: 5000))
    #expect(!covers("j2", at: 1) && !covers(nil, at: 1))
    list.expire(at: 5000)
    #expect(list.isEmpty)
  }
}
