/// Generates the same numbers for the same seed on every machine (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  /// Begins the run of `seed`.
  package init(seed: UInt64) { state = seed }

  /// Returns the next 64 bits of the run.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Makes `count` bytes of any value.
  package mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }

  /// Cuts bytes into pieces of random lengths up to `longest`, some of them empty.
  package mutating func cut(_ bytes: [UInt8], longest: Int) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + Int.random(in: 0...longest, using: &self))
      pieces.append(Array(bytes[start..<end]))
      start = end
    }
    return pieces
  }
}
