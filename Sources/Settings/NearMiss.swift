/// Finds the name that somebody probably meant.
package enum NearMiss {
  /// Returns the candidate nearest to `name` if it is near enough to be a slip: one edit in three letters, at most three.
  package static func of(_ name: String, among candidates: [String]) -> String? {
    let written = normalized(name)
    guard written.count <= 64 else { return nil }
    let editsMax = min(3, max(1, written.count / 3))
    var best: (name: String, edits: Int)?
    for candidate in candidates {
      let edits = distance(written, normalized(candidate))
      if edits <= editsMax, edits < best?.edits ?? .max { best = (candidate, edits) }
    }
    return best?.name
  }

  /// Drops what distinguishes `pingInterval`, `ping-interval` and `PING_INTERVAL`.
  private static func normalized(_ name: String) -> [UInt8] {
    name.lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
  }

  /// Counts insertions, deletions and substitutions (Levenshtein), one row at a time.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (i, left) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, right) in b.enumerated() {
        let substituted = diagonal + (left == right ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
      }
    }
    return row[b.count]
  }
}
