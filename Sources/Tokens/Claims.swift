import ClientProtocol
import JSONCore
import Realtime

/// What a token claims (RFC 7519 section 4, and what Roost adds). Read only after the signature was found right.
struct Claims {
  var subject: [UInt8]?
  /// Milliseconds since 1970.
  var expiresAt: UInt64?
  var notBefore: UInt64?
  var issuedAt: UInt64?
  var issuer: [UInt8]?
  /// Nil when the token has none.
  var audiences: [[UInt8]]?
  var tokenID: [UInt8]?
  /// The JSON value as it stands in the token, so that no digit is lost.
  var info: [UInt8]?
  var rooms: [[UInt8]]?
  var permissions: [[UInt8]] = []

  init(_ text: [UInt8]) throws(TokenFault) {
    guard JSONScanner.isValidUTF8(text.span) else { throw .malformed("its claims are not UTF-8") }
    let bytes = text.span
    // It has no spelling in UTF-8, so every reader behind this one would make something else of it.
    guard !JSONString.hasLoneSurrogate(bytes) else {
      throw .malformed("its claims hold half of a surrogate pair, such as a cut emoji")
    }
    var scanner = JSONScanner(bytes)
    while let member = try Claims.next(&scanner) {
      // Of members that are repeated the last one counts (RFC 7519 section 4).
      let value = bytes.extracting(member.value)
      if member.key.equals("sub", in: bytes) {
        subject = try Claims.string(member, bytes, "sub must be a string")
      } else if member.key.equals("exp", in: bytes) {
        expiresAt = try Claims.date(member, value)
      } else if member.key.equals("nbf", in: bytes) {
        notBefore = try Claims.date(member, value)
      } else if member.key.equals("iat", in: bytes) {
        issuedAt = try Claims.date(member, value)
      } else if member.key.equals("iss", in: bytes) {
        issuer = try Claims.string(member, bytes, "iss must be a string")
      } else if member.key.equals("aud", in: bytes) {
        audiences = try Claims.strings(value, "aud must be a string or a list of them")
      } else if member.key.equals("jti", in: bytes) {
        tokenID = try Claims.string(member, bytes, "jti must be a string")
      } else {
        try read(member, bytes)
      }
    }
    try check()
  }

  /// The members that are Roost's own.
  private mutating func read(_ member: JSONMember, _ bytes: Span<UInt8>) throws(TokenFault) {
    if member.key.equals("info", in: bytes) {
      info = member.kind == .null ? nil : [UInt8](copying: bytes.extracting(member.value))
    } else if member.key.equals("rooms", in: bytes) {
      guard member.kind == .array else { throw .claim("rooms must be a list of globs") }
      rooms = try Claims.strings(bytes.extracting(member.value), "rooms must be a list of globs")
    } else if member.key.equals("permissions", in: bytes) {
      guard member.kind == .array else { throw .claim("permissions must be a list of words") }
      permissions = try Claims.strings(bytes.extracting(member.value), "permissions must be a list of words")
    }
  }

  private func check() throws(TokenFault) {
    guard let subject else { throw .claim("sub, the user, is missing") }
    guard RoomName.isValid(subject.span) else {
      throw .claim("sub must be 1 to 200 bytes without control characters")
    }
    if let info, info.count > TokenLimits.infoBytesMax { throw .claim("info is longer than 2 KiB") }
    if let tokenID, tokenID.isEmpty || tokenID.count > TokenLimits.idBytesMax {
      throw .claim("jti must be 1 to 200 bytes")
    }
    if let rooms {
      guard rooms.count <= TokenLimits.globsMax else { throw .claim("rooms has more than 256 globs") }
      // A room's name is 200 bytes at most, and `r:` may stand before it.
      guard rooms.allSatisfy({ !$0.isEmpty && $0.count <= 202 }) else {
        throw .claim("a glob in rooms must be 1 to 200 bytes")
      }
    }
  }

  // MARK: Values

  @_lifetime(scanner: copy scanner)
  private static func next(_ scanner: inout JSONScanner) throws(TokenFault) -> JSONMember? {
    do throws(JSONError) {
      return try scanner.nextMember()
    } catch {
      throw .malformed("its claims are not a JSON object")
    }
  }

  private static func string(
    _ member: JSONMember, _ bytes: Span<UInt8>, _ rule: StaticString
  ) throws(TokenFault) -> [UInt8] {
    guard let value = member.string?.decoded(in: bytes) else { throw .claim(rule) }
    return value
  }

  /// One string, or a list of strings.
  private static func strings(_ text: Span<UInt8>, _ rule: StaticString) throws(TokenFault) -> [[UInt8]] {
    guard let value = try? JSONValue.parse(text, depthMax: 2) else { throw .claim(rule) }
    if let one = value.asBytes { return [one] }
    guard let list = value.asArray else { throw .claim(rule) }
    let strings = list.compactMap(\.asBytes)
    guard strings.count == list.count else { throw .claim(rule) }
    return strings
  }

  /// Seconds since 1970, fractions allowed (RFC 7519 section 2), as milliseconds. The year 9999 is the end of what is
  /// believed to be a date: beyond it stand milliseconds that were taken for seconds.
  private static func date(_ member: JSONMember, _ value: Span<UInt8>) throws(TokenFault) -> UInt64 {
    guard member.kind == .number,
      let seconds = Double(String(decoding: [UInt8](copying: value), as: UTF8.self)),
      seconds >= 0, seconds <= 253_402_300_799
    else { throw .claim("exp, nbf and iat must be seconds since 1970") }
    return UInt64(seconds * 1000)
  }
}
