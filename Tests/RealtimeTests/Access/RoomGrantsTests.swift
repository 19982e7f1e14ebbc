import Randomness
import Testing

@testable import Realtime

@Suite("Room grants")
struct RoomGrantsTests {
  private func mayJoin(_ grants: RoomGrants, _ name: [UInt8]) -> Bool { grants.mayJoin(name.span) }

  private func matches(_ glob: String, _ name: String) -> Bool {
    let name = Array(name.utf8)
    return RoomGlob(Array(glob.utf8)).matches(name.span)
  }

  @Test("matches whole names, a star standing for any bytes, also none")
  func globs() {
    for (glob, name) in [
      ("a", "a"), ("*", "a"), ("a*", "a"), ("a*", "ab"), ("*b", "ab"), ("a*c", "abbc"), ("a*b*c", "axxbyyc"),
      ("a*b", "abab"), ("**", "x"), ("chat:*", "chat:"), ("*:*", "a:b"), ("a*b*b", "abbb"), ("é*", "éx"),
      ("*a*", "bab"),
    ] {
      #expect(matches(glob, name), "\(glob) \(name)")
    }
    for (glob, name) in [
      ("", "a"), ("a", "ab"), ("a", "b"), ("a", "A"), ("a*", "ba"), ("*b", "ba"), ("a*b", "abc"), ("a*b*c", "acb"),
      ("chat:*", "chat"), ("a?", "ab"), ("[ab]", "a"), ("a*b*b", "ab"), ("\\*", "*"),
    ] {
      #expect(!matches(glob, name), "\(glob) \(name)")
    }
  }

  @Test("agrees with a matcher that tries everything, on random globs and names")
  func randomGlobs() {
    func slow(_ glob: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
      guard let first = glob.first else { return name.isEmpty }
      if first == UInt8(ascii: "*") {
        return slow(glob.dropFirst(), name) || (!name.isEmpty && slow(glob, name.dropFirst()))
      }
      return name.first == first && slow(glob.dropFirst(), name.dropFirst())
    }
    let seed = firstSeed()
    var random = SeededGenerator(seed: seed)
    for _ in 0..<3000 {
      let glob = (0..<Int.random(in: 0...6, using: &random)).map { _ in Array("ab*".utf8).randomElement(using: &random)!
      }
      let name = (0..<Int.random(in: 0...7, using: &random)).map { _ in Array("ab".utf8).randomElement(using: &random)!
      }
      let isMatch = RoomGlob(glob).matches(name.span)
      #expect(isMatch == slow(glob[...], name[...]), "seed \(seed): \(glob) \(name)")
    }
  }

  @Test("takes time in proportion to both lengths for the worst glob, not more")
  func worstGlob() {
    let glob = RoomGlob(Array(String(repeating: "a*", count: 4000).utf8 + Array("b".utf8)))
    let name = [UInt8](repeating: UInt8(ascii: "a"), count: 200)
    // Trying every star again would take longer than the universe has.
    for _ in 0..<100 {
      let isMatch = glob.matches(name.span)
      #expect(!isMatch)
    }
  }

  @Test("lets r: globs be joined and not published to, and others both")
  func readOnly() {
    let grants = RoomGrants(["chat:*", "r:news:*", "lobby"].map { Array($0.utf8) })
    func may(_ name: String) -> (join: Bool, publish: Bool) {
      let name = Array(name.utf8)
      return (grants.mayJoin(name.span), grants.mayPublish(name.span))
    }
    #expect(may("chat:a") == (true, true))
    #expect(may("news:a") == (true, false))
    #expect(may("lobby") == (true, true))
    #expect(may("lobby2") == (false, false))
    #expect(may("r:news:a") == (false, false))
    let nothing = RoomGrants([])
    let name = Array("a".utf8)
    let granted = (nothing.mayJoin(name.span), nothing.mayPublish(name.span))
    #expect(granted == (false, false))
  }

  @Test("covers a wildcard exactly when it covers every name that the wildcard matches")
  func wildcards() {
    let seed = firstSeed()
    var random = SeededGenerator(seed: seed)
    let alphabet = Array("ab*".utf8)
    let tails = [[], [1], [2], [1, 2], [2, 1], [1, 1, 2]].map { (tail: [Int]) in tail.map { alphabet[$0 - 1] } }
    for _ in 0..<3000 {
      let glob = (0..<Int.random(in: 0...5, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
      let prefix = (0..<Int.random(in: 1...4, using: &random)).map { _ in
        alphabet[Int.random(in: 0...1, using: &random)]
      }
      let grants = RoomGrants([glob])
      guard mayJoin(grants, prefix + [UInt8(ascii: "*")]) else { continue }
      for tail in tails { #expect(mayJoin(grants, prefix + tail), "seed \(seed): \(glob) \(prefix)") }
    }
    let grants = RoomGrants([Array("news:*:eu".utf8), Array("chat:*".utf8)])
    for (name, isCovered) in [("chat:*", true), ("chat:a*", true), ("cha*", false), ("news:*", false), ("*", false)] {
      #expect(mayJoin(grants, Array(name.utf8)) == isCovered, "\(name)")
    }
  }
}
