import Glibc

/// The seed at which a simulation begins: the same in every run, so that a run which fails is one that failed before;
/// SEED=123 tries others.
func firstSeed() -> UInt64 { getenv("SEED").flatMap { UInt64(String(cString: $0)) } ?? 1 }
