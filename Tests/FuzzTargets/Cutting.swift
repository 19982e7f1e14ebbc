/// Cuts bytes into pieces as a network would, the same way for the same seed.
///
/// An input begins with one byte that says how the rest is cut, so that the fuzzer chooses the cuts as it chooses the
/// bytes: the low three bits bound the pieces (1, 2, 4 … 128 bytes), the rest seeds their lengths.
struct Cutting {
  private let lengthMax: Int
  private var state: UInt32

  init(seed: UInt8) {
    lengthMax = 1 << Int(seed & 7)
    state = UInt32(seed >> 3) &* 2_654_435_761 | 1
  }

  /// Gives every piece of `bytes` in order to `take`, until that returns false.
  mutating func pieces(of bytes: ArraySlice<UInt8>, _ take: ([UInt8]) throws(Broken) -> Bool) throws(Broken) {
    var rest = bytes
    while !rest.isEmpty {
      state = state &* 1_664_525 &+ 1_013_904_223
      let piece = rest.prefix(1 + Int(state >> 16) % lengthMax)
      rest = rest.dropFirst(piece.count)
      guard try take(Array(piece)) else { return }
    }
  }
}

/// Takes an input apart: the seed of the cuts, a byte of options, and the rest.
struct CutInput {
  let cutting: Cutting
  let options: UInt8
  let bytes: ArraySlice<UInt8>

  /// Nil when the input is too short to hold the two bytes.
  init?(_ input: [UInt8]) {
    guard input.count >= 2 else { return nil }
    cutting = Cutting(seed: input[0])
    options = input[1]
    bytes = input[2...]
  }
}
