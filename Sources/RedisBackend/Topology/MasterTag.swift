/// The mark of the process in a cluster that a message was sent to.
///
/// A master that was replaced while it was paused executes the commands that it received before it learns of that, and the
/// cluster bus brings its messages to the subscribers of its successor, at offsets that the successor gives to other messages.
/// So in a cluster every message of a room begins with a master tag, the first eight characters of the `run_id` of the process
/// that it was sent to, and a colon; a notice has it after its dash.
enum MasterTag {
  static let length = 8

  /// Makes a master tag; empty when the process is not known.
  static func of(run: [UInt8]?) -> [UInt8] {
    guard let run, run.count >= length else { return [] }
    return Array(run[..<length])
  }

  /// How many bytes stand before what an envelope is without a master tag: it begins with a letter and a space.
  static func count(before envelope: Span<UInt8>) -> Int {
    envelope.count > length && envelope[length] == 0x3A ? length + 1 : 0
  }
}
