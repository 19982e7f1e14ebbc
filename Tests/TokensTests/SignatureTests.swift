import JSONCore
import Randomness
import TestSupport
import Testing

@testable import LoopCore
@testable import Tokens

@Suite("Tokens, signatures")
struct SignatureTests {
  @Test("takes the signatures that the standards print, and no other", arguments: Vectors.all)
  func vectors(vector: Vectors.Signed) throws {
    let key = try vector.key()
    let token = try CompactToken(Array(vector.token.utf8).span)
    #expect(key.isValid(token), "\(vector.section)")
    var random = SeededGenerator(seed: 7515)
    for _ in 0..<64 {
      let broken = Forge.resigned(vector.token) {
        $0[Int(random.next() % UInt64($0.count))] ^= 1 << (random.next() % 8)
      }
      #expect(!key.isValid(try CompactToken(Array(broken.utf8).span)), "\(broken)")
    }
    for cut in [0, 1, token.signature.count / 2, token.signature.count - 1] {
      let short = Forge.resigned(vector.token) { $0 = Array($0.prefix(cut)) }
      #expect(!key.isValid(try CompactToken(Array(short.utf8).span)), "\(cut) bytes")
    }
    let long = Forge.resigned(vector.token) { $0.append(0) }
    #expect(!key.isValid(try CompactToken(Array(long.utf8).span)))
    // One character of what is signed.
    let other = vector.token.replacing("eyJ", with: "eyK", maxReplacements: 1)
    #expect((try? CompactToken(Array(other.utf8).span)).map(key.isValid) != true)
  }

  @Test("refuses numbers of an ECDSA signature that are zero, of another length, or in DER (RFC 7518 section 3.4)")
  func ecdsaForms() throws {
    let key = try Vectors.es256.key()
    let forms: [[UInt8]] = [
      [UInt8](repeating: 0, count: 64), [UInt8](repeating: 0, count: 63) + [1], [UInt8](repeating: 0xFF, count: 64),
      [UInt8](repeating: 0, count: 66), [0x30, 6, 2, 1, 1, 2, 1, 1],
    ]
    for form in forms {
      let token = Forge.resigned(Vectors.es256.token) { $0 = form }
      #expect(!key.isValid(try CompactToken(Array(token.utf8).span)), "\(form)")
    }
    // The right signature in the form that OpenSSL uses.
    let raw = try CompactToken(Array(Vectors.es256.token.utf8).span).signature
    func number(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
      let digits = (bytes.first ?? 0) >= 0x80 ? [0] + bytes : Array(bytes)
      return [2, UInt8(digits.count)] + digits
    }
    let numbers = number(raw[..<32]) + number(raw[32...])
    let der = Forge.resigned(Vectors.es256.token) { $0 = [0x30, UInt8(numbers.count)] + numbers }
    #expect(!key.isValid(try CompactToken(Array(der.utf8).span)))
  }

  /// What `openssl genpkey` is told, and the algorithms that the key is good for.
  static let kinds: [(name: String, arguments: [String], algorithms: [SignatureAlgorithm])] = [
    (
      "rsa", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
      [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]
    ),
    ("p256", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], [.es256]),
    ("p384", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], [.es384]),
    ("p521", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], [.es512]),
    ("ed25519", ["-algorithm", "ED25519"], [.edDSA]),
  ]

  @Test("signs and checks with every algorithm of a key's kind, and with none of another kind", arguments: 0..<5)
  func everyAlgorithm(index: Int) throws {
    let (name, arguments, algorithms) = SignatureTests.kinds[index]
    let folder = try TemporaryFolder()
    let pair = try OpenSSL.makeKey(arguments, name: name, in: folder)
    let signing = try SigningKey(pem: try folder.read(pair.privatePath))
    let keys = try PublicKey.readAll(pem: try folder.read(pair.publicPath))
    let key = try #require(keys.first)
    let message = Array("what is signed".utf8)
    for algorithm in SignatureAlgorithm.allCases {
      let signature = signing.sign(message, by: algorithm)
      #expect((signature != nil) == algorithms.contains(algorithm), "\(algorithm)")
      for other in SignatureAlgorithm.allCases {
        #expect(key.isValid(signature ?? [], of: message, by: other) == (signature != nil && other == algorithm))
      }
    }
    #expect(algorithms.contains(signing.algorithm))
  }

  @Test("agrees with OpenSSL's command line about RSA, ECDSA in DER, and Ed25519")
  func commandLine() throws {
    let folder = try TemporaryFolder()
    try folder.write("message", Array("header.claims".utf8))
    for (name, arguments, algorithms) in SignatureTests.kinds {
      let pair = try OpenSSL.makeKey(arguments, name: name, in: folder)
      let output = folder.path("\(name).signature")
      if name == "ed25519" {
        try OpenSSL.run(
          ["pkeyutl", "-sign", "-rawin", "-inkey", pair.privatePath, "-in", folder.path("message"), "-out", output])
      } else {
        let hash = name == "p384" ? "-sha384" : name == "p521" ? "-sha512" : "-sha256"
        try OpenSSL.run(["dgst", hash, "-sign", pair.privatePath, "-out", output, folder.path("message")])
      }
      var signature = try folder.read(output)
      let key = try #require(try PublicKey.readAll(pem: try folder.read(pair.publicPath)).first)
      if let count = key.kind.ecdsaNumberBytes {
        signature = try #require(ECDSASignature.raw(fromDER: signature, numberBytes: count))
      }
      #expect(key.isValid(signature, of: Array("header.claims".utf8), by: algorithms[0]), "\(name)")
      #expect(!key.isValid(signature, of: Array("header.claimz".utf8), by: algorithms[0]), "\(name)")
    }
  }

  @Test("reads several keys and certificates of one PEM file, and says what does not belong there")
  func pem() throws {
    let folder = try TemporaryFolder()
    let rsa = try OpenSSL.makeKey(SignatureTests.kinds[0].arguments, name: "rsa", in: folder)
    let p256 = try OpenSSL.makeKey(SignatureTests.kinds[1].arguments, name: "p256", in: folder)
    let small = try OpenSSL.makeKey(
      ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], name: "small", in: folder)
    let certificate = folder.path("certificate.pem")
    try OpenSSL.run(
      ["req", "-new", "-x509", "-key", p256.privatePath, "-subj", "/CN=issuer", "-days", "1", "-out", certificate])
    let all =
      Array("a comment\n".utf8) + (try folder.read(rsa.publicPath)) + (try folder.read(certificate))
      + Array(Vectors.rsaPEM.utf8)
    #expect(try PublicKey.readAll(pem: all).map(\.kind) == [.rsa, .p256, .rsa])
    let faults: [([UInt8], String)] = [
      ([], "no key"), (Array("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".utf8), "no public key"),
      (try folder.read(rsa.privatePath), "private key"), (try folder.read(small.publicPath), "1024 bits"),
      (Array("-----BEGIN PUBLIC KEY-----\nAAAA\n".utf8), "PEM"), (Array(Vectors.rsaPEM.utf8.dropLast(100)), "PEM"),
    ]
    for (text, word) in faults {
      let fault = #expect(throws: KeyFault.self) { try PublicKey.readAll(pem: text) }
      #expect(fault?.description.contains(word) == true, "\(fault?.description ?? "none")")
    }
  }
}
