import Glibc

/// The wall clock of one process, which a test may set while it runs. Its monotonic clock goes on as it is.
package final class ProcessClock {
  private let path: String
  private let file: Int32
  /// By how much it is off, in milliseconds.
  package private(set) var offset: Int64 = 0

  package init() throws {
    var template = Array("/tmp/roost-clock-XXXXXX".utf8CString)
    file = mkstemp(&template)
    guard file >= 0 else { throw TestFailure("cannot make a file for a clock in /tmp") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    try set(0)
  }

  deinit {
    close(file)
    unlink(path)
  }

  /// What the environment of the process must hold from its start.
  package func environment() throws -> [String: String] {
    ["LD_PRELOAD": try ProcessClock.library(), "FALSE_CLOCK": path]
  }

  /// Sets the clock forward, or back, by so many milliseconds.
  package func jump(milliseconds: Int64) throws { try set(offset + milliseconds) }

  private func set(_ milliseconds: Int64) throws {
    offset = milliseconds
    var bytes = milliseconds
    guard pwrite(file, &bytes, 8, 0) == 8 else { throw TestFailure("cannot write \(path): errno \(errno)") }
  }

  /// The built library, which lies beside the test program.
  private static func library() throws -> String {
    let binary = try RoostProcess.builtProgram()
    let library = binary[..<(binary.lastIndex(of: "/") ?? binary.startIndex)] + "/libFalseClock.so"
    guard access(String(library), R_OK) == 0 else { throw TestFailure("no \(library): build it with swift build") }
    return String(library)
  }
}
