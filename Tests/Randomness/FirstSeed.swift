import Glibc

/// Returns the seed at which a simulation begins: the same in every run, so that a run which fails is one that failed
/// before; SEED=123 tries others.
package func firstSeed() -> UInt64 { getenv("SEED").flatMap { UInt64(String(cString: $0)) } ?? 1 }

/// Returns as many seeds as a simulation has runs, from `firstSeed` on.
package func seeds(_ count: UInt64) -> Range<UInt64> {
  let first = firstSeed()
  return first..<(first + count)
}
