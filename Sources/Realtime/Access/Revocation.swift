import JSONCore

/// What is no longer accepted, and until when: the answer to a token that is lost before it expires.
public struct Revocation: Equatable, Sendable {
  /// What is revoked.
  public enum Subject: Hashable, Sendable {
    /// The tokens of a user that were issued at or before a moment, in milliseconds since 1970. A token that does not
    /// say when it was issued is taken for one of them.
    case user([UInt8], issuedUntil: UInt64)
    /// One token, by its `jti` (RFC 7519 section 4.1.7).
    case token([UInt8])
  }

  public var subject: Subject
  /// Milliseconds since 1970 at which it ends.
  public var until: UInt64

  public init(subject: Subject, until: UInt64) {
    self.subject = subject
    self.until = until
  }
}

extension Revocation.Subject {
  /// Reads what `text` wrote; nil for anything else.
  public init?(text: Span<UInt8>) {
    let colon = UInt8(ascii: ":")
    guard text.count > 2, text[1] == colon else { return nil }
    let rest = text.extracting(2..<text.count)
    switch text[0] {
    case UInt8(ascii: "t"): self = .token([UInt8](copying: rest))
    case UInt8(ascii: "u"):
      guard let end = rest.indices.first(where: { rest[$0] == colon }), end + 1 < rest.count,
        let moment = JSONNumber.unsigned(rest.extracting(0..<end))
      else { return nil }
      self = .user([UInt8](copying: rest.extracting((end + 1)..<rest.count)), issuedUntil: moment)
    default: return nil
    }
  }

  /// The same as one line: `t:JTI`, or `u:MILLISECONDS:USER`.
  public var text: [UInt8] {
    switch self {
    case .token(let name): return Array("t:".utf8) + name
    case .user(let name, let moment):
      var text = Array("u:".utf8)
      JSONNumber.append(moment, to: &text)
      text.append(UInt8(ascii: ":"))
      return text + name
    }
  }
}

/// The revocations that a node knows; pure. As many as `Limits.revocationsMax`, because brokers take no more.
struct RevocationList {
  private struct Window {
    let issuedUntil: UInt64
    let until: UInt64
  }

  private var tokens: [[UInt8]: UInt64] = [:]
  private var users: [[UInt8]: [Window]] = [:]
  private var nextSweep: UInt64 = 0

  var isEmpty: Bool { tokens.isEmpty && users.isEmpty }

  /// Adds one. One that is covered already changes nothing.
  mutating func insert(_ revocation: Revocation) {
    switch revocation.subject {
    case .token(let name): tokens[name] = max(revocation.until, tokens[name] ?? 0)
    case .user(let name, let issuedUntil):
      let window = Window(issuedUntil: issuedUntil, until: revocation.until)
      var windows = users[name] ?? []
      if windows.contains(where: { $0.issuedUntil >= issuedUntil && $0.until >= window.until }) { return }
      windows.removeAll { $0.issuedUntil <= issuedUntil && $0.until <= window.until }
      users[name] = windows + [window]
    }
  }

  /// Those that have not ended at `now`.
  func standing(at now: UInt64) -> [Revocation] {
    let tokens = tokens.map { Revocation(subject: .token($0.key), until: $0.value) }
    let users = users.flatMap { name, windows in
      windows.map { Revocation(subject: .user(name, issuedUntil: $0.issuedUntil), until: $0.until) }
    }
    return (tokens + users).filter { $0.until > now }
  }

  /// Whether an identity is not to be accepted at `now`.
  func covers(_ identity: Identity, at now: UInt64) -> Bool {
    if let name = identity.tokenID, let until = tokens[name], until > now { return true }
    guard let windows = users[identity.user] else { return false }
    return windows.contains { $0.until > now && (identity.issuedAt ?? 0) <= $0.issuedUntil }
  }

  /// Forgets what has ended, once a minute however often it is called.
  mutating func expire(at now: UInt64) {
    guard now >= nextSweep, !isEmpty else { return }
    nextSweep = now + 60_000
    tokens = tokens.filter { $0.value > now }
    users = users.compactMapValues { windows in
      let standing = windows.filter { $0.until > now }
      return standing.isEmpty ? nil : standing
    }
  }
}
