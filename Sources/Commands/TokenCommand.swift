import ClientCore
import JSONCore
import LoopCore
import Settings

/// `roost token`: prints a token signed with a secret that a node shares, or with a private key.
enum TokenCommand {
  struct Claims: Sendable {
    var user: String?
    var rooms: [String] = []
    var ttlMilliseconds = 3_600_000
    var permissions: [String] = []
    var info: String?
    var audience: String?
    var issuer: String?
    var jwtSecret: String?
    var keyPath: String?
    var keyID: String?
  }

  static let table = OptionTable<Claims>(
    command: "roost token", usage: ClientCommand.token.usage + " [OPTIONS]", summary: ClientCommand.token.summary,
    options: [
      .text("user", \.user, "NAME", "the user that the token names (claim sub)", problem: UserText.problem)
        .from(.argumentsOnly),
      .list(
        "rooms", \.rooms, "GLOB,...", "rooms the user may use, such as chat:* or r:news:* to read only",
        whenUnset: "all"
      ).from(.argumentsOnly),
      .duration("ttl", \.ttlMilliseconds, 1000...31_536_000_000, "how long the token is good for").from(.argumentsOnly),
      .list("permissions", \.permissions, "WORD,...", "what else the user may do, such as broadcast", whenUnset: "none")
        .from(.argumentsOnly),
      .text("info", \.info, "JSON", "a value to show in presence", problem: infoProblem).from(.argumentsOnly),
      .text("audience", \.audience, "NAME", "whom the token is for (claim aud)", whenUnset: "none").from(
        .argumentsOnly),
      .text("issuer", \.issuer, "NAME", "who made the token (claim iss)", whenUnset: "none").from(.argumentsOnly),
      .text("key", \.keyPath, "FILE", "PEM file with the private key to sign with, instead of the secret")
        .from(.argumentsOnly),
      .text("keyId", \.keyID, "NAME", "the name of the key in a set of keys (kid)", whenUnset: "none")
        .from(.argumentsOnly),
      .text("jwtSecret", \.jwtSecret, "TEXT", "the node's secret (environment: ROOST_JWT_SECRET)")
        .secret().from(.argumentsAndEnvironment),
    ])

  static func run(_ arguments: [String], _ environment: [String: String], version: String) throws -> Int32 {
    switch try table.parse(arguments: arguments, environment: environment, defaults: Claims()) {
    case .help(let text): Output.text(text)
    case .version: Output.text("roost \(version)\n")
    case .run(let claims, _): Output.text(try token(claims, now: Clock.wallMilliseconds()) + "\n")
    }
    return ExitStatus.success
  }

  /// Makes the token; `now` is in milliseconds since 1970.
  static func token(_ asked: Claims, now: UInt64) throws(CommandFailure) -> String {
    guard let user = asked.user else {
      throw CommandFailure(ExitStatus.usage, "--user is missing; expected: roost token --user NAME")
    }
    let signer = try signer(asked)
    let issuedAt = now / 1000
    let claims = TokenClaims(
      user: user, issuedAt: issuedAt, expiresAt: issuedAt + UInt64(asked.ttlMilliseconds / 1000),
      rooms: asked.rooms.isEmpty ? nil : asked.rooms,
      permissions: asked.permissions.isEmpty ? nil : asked.permissions, info: asked.info.map { Array($0.utf8) },
      audience: asked.audience, issuer: asked.issuer)
    guard let token = claims.signed(by: signer, keyID: asked.keyID) else {
      throw CommandFailure(ExitStatus.usage, "the key cannot sign; expected an RSA, ECDSA or Ed25519 key")
    }
    return token
  }

  /// A key that was named beats a secret that is only in the environment.
  private static func signer(_ asked: Claims) throws(CommandFailure) -> TokenSigner {
    guard let path = asked.keyPath else {
      guard let secret = asked.jwtSecret else {
        throw CommandFailure(
          ExitStatus.usage, "the secret is missing; give the node's by --jwt-secret or ROOST_JWT_SECRET, or a --key")
      }
      return .secret(SharedSecret(Array(secret.utf8)))
    }
    let pem: [UInt8]
    do throws(SystemError) {
      pem = try WholeFile.read(path, bytesMax: 65_536)
    } catch {
      throw CommandFailure(ExitStatus.usage, "--key: \(error)")
    }
    do throws(KeyFault) {
      return .key(try SigningKey(pem: pem))
    } catch {
      throw CommandFailure(ExitStatus.usage, "--key \(path): \(error)")
    }
  }

  /// Bytes of `info` that a node takes; it refuses a token with more.
  private static let infoBytesMax = 2048

  private static func infoProblem(_ text: String) -> String? {
    do throws(JSONError) {
      try JSONScanner.validate(Array(text.utf8).span)
      let count = text[...].utf8.trimmingSpace.count
      guard count > infoBytesMax else { return nil }
      return "has \(count) bytes; a node refuses a token with more than \(infoBytesMax): shorten it"
    } catch {
      return "is not JSON: \(error)"
    }
  }
}

extension Substring.UTF8View {
  /// Without the white space before and behind a JSON value (RFC 8259 section 2), which is no part of it.
  fileprivate var trimmingSpace: Self {
    func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
    guard let last = lastIndex(where: { !isSpace($0) }) else { return self[endIndex...] }
    return self[...last].drop(while: isSpace)
  }
}
