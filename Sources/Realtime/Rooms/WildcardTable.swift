/// The wildcards of a node, and who is in them. Confined to the loop that created its hub.
final class WildcardTable {
  /// A session's place in a wildcard.
  struct Membership {
    let wildcard: Wildcard
    /// The place in the wildcard's roster, or nil while the session is joining.
    var place: UInt32?
  }

  private(set) var byName = NameTable<Wildcard>()
  /// Changes whenever a wildcard begins or ends. A room compares its name with the wildcards when it is used for the
  /// first time after that: so a wildcard costs the same to make however many rooms the node has.
  private(set) var revision: UInt32 = 0
  /// By the session's place in its slab: few sessions have any, so the others pay nothing.
  private var memberships: [UInt32: [Membership]] = [:]

  func insert(_ wildcard: Wildcard) {
    byName.insert(wildcard)
    revision &+= 1
  }

  func remove(_ wildcard: Wildcard) {
    byName.remove(wildcard.name)
    revision &+= 1
  }

  var isEmpty: Bool { byName.count == 0 }

  func matching(_ room: Span<UInt8>) -> [Wildcard] {
    var found: [Wildcard] = []
    guard !isEmpty else { return found }
    byName.forEach { if $0.matches(room) { found.append($0) } }
    return found
  }

  /// The index of a session's membership, or nil.
  func index(of session: UInt32, in wildcard: Wildcard) -> Int? {
    memberships[session]?.firstIndex { $0.wildcard === wildcard }
  }

  /// Whether the session's join of the wildcard was answered.
  func isJoined(_ session: UInt32, _ wildcard: Wildcard) -> Bool {
    memberships[session]?.contains { $0.wildcard === wildcard && $0.place != nil } ?? false
  }

  /// Whether a wildcard is still the one of its name.
  func isKnown(_ wildcard: Wildcard) -> Bool {
    let name = wildcard.name
    return byName.find(name.span) === wildcard
  }

  // MARK: Members

  /// The wildcards that a session is in or is joining.
  func memberships(of session: UInt32) -> [Membership] { memberships[session] ?? [] }

  /// How many they are.
  func count(of session: UInt32) -> Int { memberships[session]?.count ?? 0 }

  /// Adds a session that is joining.
  func add(_ wildcard: Wildcard, to session: UInt32) {
    memberships[session, default: []].append(Membership(wildcard: wildcard, place: nil))
  }

  /// Gives a session its place in the wildcard's roster.
  func setPlace(_ place: UInt32, of session: UInt32, at index: Int) { memberships[session]?[index].place = place }

  /// Takes a session out of a wildcard, or returns nil: it is not in it.
  func remove(_ session: UInt32, from wildcard: Wildcard) -> Membership? {
    guard let index = index(of: session, in: wildcard), let membership = memberships[session]?.remove(at: index) else {
      return nil
    }
    if memberships[session]?.isEmpty == true { memberships[session] = nil }
    return membership
  }

  /// Takes a session out of all wildcards.
  func removeAll(of session: UInt32) -> [Membership] { memberships.removeValue(forKey: session) ?? [] }
}
