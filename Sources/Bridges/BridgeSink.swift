import BridgeCore

/// What became of a record that was given to the other side.
enum SinkResult: Sendable {
  /// The other side has it.
  case written
  /// The other side will never take it.
  case refused(String)
  /// The other side may have it or not.
  case failed
}

/// Writes records to the other side of a bridge. Confined to the loop.
protocol BridgeSink: AnyObject {
  /// Whether records are taken. `readyChanged` is called when that changes.
  var isReady: Bool { get }
  var readyChanged: () -> Void { get set }
  /// Writes a record; records of one key keep their order. `done` is called once, later.
  func send(_ record: OutboundRecord, _ done: @escaping (SinkResult) -> Void)
  /// Gives up what is on its way: another process may write now.
  func purge()
  /// Ends; what is on its way fails.
  func stop()
}

/// Why a bridge cannot work: one line without a secret.
struct BridgeFault: Error, CustomStringConvertible {
  let description: String
}

/// Writes a line of the log once until another one comes, or some time has passed.
final class OnceLog {
  private let write: (_ isError: Bool, String) -> Void
  private var last = ""

  init(_ write: @escaping (_ isError: Bool, String) -> Void) { self.write = write }

  func warn(_ line: String) {
    guard line != last else { return }
    last = line
    write(true, line)
  }

  func info(_ line: String) {
    guard line != last else { return }
    last = line
    write(false, line)
  }
}
