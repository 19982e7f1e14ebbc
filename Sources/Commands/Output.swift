import Glibc
import JSONCore

/// Writes to the standard descriptors at once: no line waits in a buffer while a program reads the other end.
///
/// Nothing leaves that could steer a terminal, whatever servers and other users wrote: every function escapes it.
enum Output {
  /// Writes valid JSON as one line to standard output; false when nobody reads any more.
  @discardableResult
  static func json(_ text: [UInt8]) -> Bool { write(TerminalText.json(text) + [UInt8(ascii: "\n")], to: 1) }

  /// Writes text to standard output, line ends and all.
  static func text(_ text: String) { _ = write(Array(TerminalText.lines(text).utf8), to: 1) }

  /// Writes one line for people to standard error, with the name of the program before it.
  static func note(_ message: String) { _ = write(Array("roost: \(TerminalText.line(message))\n".utf8), to: 2) }

  /// Clears the terminal that standard output is (ECMA-48: CUP, ED).
  static func clearScreen() { _ = write(Array("\u{1B}[H\u{1B}[2J".utf8), to: 1) }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      // Safe because the bytes are only read, inside the closure.
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }
}
