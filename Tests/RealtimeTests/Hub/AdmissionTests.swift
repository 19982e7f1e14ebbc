import ClientProtocol
import Testing

@testable import Realtime

@Suite("Admission of joins")
struct AdmissionTests {
  private static let old = epoch("a")
  private static let current = epoch("b")

  private static func epoch(_ text: String) -> Epoch {
    let bytes = Array(text.utf8)
    guard let epoch = Epoch(text: bytes.span) else { fatalError("\(text) is no epoch") }
    return epoch
  }

  private static func at(_ epoch: Epoch, _ offset: UInt64) -> Position { Position(epoch: epoch, offset: offset) }

  /// A join of a room that is at offset 10 and was entered there.
  private static func join(since: Position? = nil, _ change: (inout Admission) -> Void = { _ in }) -> Admission {
    var admission = Admission(entered: at(current, 10), position: at(current, 10), since: since)
    change(&admission)
    return admission
  }

  /// The current epoch continues the old one, which ended at offset 7.
  private static func lineage(isWhole: Bool) -> [EpochEnd] {
    [EpochEnd(position: at(old, 7), isWhole: isWhole)]
  }

  private static let table: [(String, Admission, Admission.Decision)] = [
    ("asks for nothing", join(), .enter(recovered: nil)),
    ("the stream is not there yet", join { $0.entered = at(current, 11) }, .wait),
    ("the stream is further", join { $0.entered = at(current, 3) }, .enter(recovered: nil)),
    ("entered in an epoch that is over", join { $0.entered = at(old, 99) }, .enter(recovered: nil)),
    ("forbidden meanwhile", join { $0.isWanted = false }, .refuse),
    (
      "forbidden, and the stream is not there yet",
      join {
        $0.isWanted = false
        $0.entered = at(current, 11)
      }, .wait
    ),
    ("missed nothing", join(since: at(current, 10)), .enter(recovered: true)),
    ("comes from the future", join(since: at(current, 11)), .enter(recovered: false)),
    ("missed what is cached", join(since: at(current, 4)) { $0.isCached = true }, .resume(after: 4)),
    ("missed what is not cached", join(since: at(current, 4)), .readHistory),
    (
      "missed what history has", join(since: at(current, 4)) { $0.history = .read(reaches: true) }, .resume(after: 4)
    ),
    (
      "missed what history no longer has", join(since: at(current, 4)) { $0.history = .read(reaches: false) },
      .enter(recovered: false)
    ),
    (
      "history no longer has it, the cache has",
      join(since: at(current, 4)) {
        $0.history = .read(reaches: false)
        $0.isCached = true
      }, .resume(after: 4)
    ),
    ("another epoch, lineage not known", join(since: at(old, 4)) { $0.isCached = true }, .readHistory),
    (
      "another epoch, and history does not know it", join(since: at(old, 4)) { $0.history = .read(reaches: true) },
      .enter(recovered: false)
    ),
    (
      "another epoch that this one continues, cached",
      join(since: at(old, 4)) {
        $0.lineage = lineage(isWhole: true)
        $0.isCached = true
      }, .resume(after: 4)
    ),
    ("another epoch, not cached", join(since: at(old, 4)) { $0.lineage = lineage(isWhole: true) }, .readHistory),
    (
      "another epoch, of which messages are lost",
      join(since: at(old, 4)) {
        $0.lineage = lineage(isWhole: false)
        $0.isCached = true
      }, .enter(recovered: false)
    ),
    (
      "another epoch, beyond its end",
      join(since: at(old, 8)) {
        $0.lineage = lineage(isWhole: true)
        $0.isCached = true
      }, .enter(recovered: false)
    ),
  ]

  @Test("decides for each state of the stream, the cache and history")
  func table() {
    for (name, admission, decision) in Self.table { #expect(admission.decide() == decision, "\(name)") }
  }
}
