/// Finds the name that somebody probably meant.
package enum NearMiss {
  /// Candidates that are named at most.
  private static let namesMax = 3

  /// Asks whether one of the candidates was meant, or a few; nil when none is near.
  ///
  /// - Parameter prefix: what stands before each name in the question.
  package static func question(_ name: String, among candidates: [String], prefix: String = "") -> String? {
    let found = (of(name, among: candidates).map { [$0] } ?? byBeginning(name, among: candidates)).map { prefix + $0 }
    guard let last = found.last else { return nil }
    let others = found.dropLast()
    return "did you mean \(others.isEmpty ? "" : others.joined(separator: ", ") + " or ")\(last)?"
  }

  /// Returns the candidate whose words the name begins with, such as `--redis` for `--redis-url`: the longest one. Else the first
  /// candidates that begin with the name, such as those of `--history`.
  private static func byBeginning(_ name: String, among candidates: [String]) -> [String] {
    guard name.utf8.count <= 64 else { return [] }
    let written = words(name)
    let contained = candidates.filter { candidate in
      let parts = words(candidate)
      return parts.count < written.count && parts.elementsEqual(written.prefix(parts.count))
    }
    if let longest = contained.max(by: { words($0).count < words($1).count }) { return [longest] }
    let beginning = normalized(name)
    guard beginning.count >= 3 else { return [] }
    return Array(candidates.filter { normalized($0).starts(with: beginning) }.prefix(namesMax))
  }

  /// The words of `pingInterval`, `--ping-interval` or `PING_INTERVAL`, in lower case.
  private static func words(_ name: String) -> [String] {
    var words = [""]
    var wasLower = false
    for character in name {
      let isSeparator = character == "-" || character == "_"
      if isSeparator || character.isUppercase && wasLower { words.append("") }
      if !isSeparator { words[words.count - 1].append(character.lowercased()) }
      wasLower = character.isLowercase
    }
    return words.filter { !$0.isEmpty }
  }

  /// Returns the candidate nearest to `name` if it is near enough to be a slip: one edit in three letters, at most three.
  static func of(_ name: String, among candidates: [String]) -> String? {
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
