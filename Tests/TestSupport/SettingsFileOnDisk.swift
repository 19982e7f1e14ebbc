import Glibc

/// A settings file for `--config`. Deleted when the object goes.
package final class SettingsFileOnDisk {
  package let path: String

  /// Writes `text` into a new file in /tmp.
  package init(_ text: String) throws {
    var name = Array("/tmp/roost-settings-XXXXXX".utf8CString)
    let file = mkstemp(&name)
    guard file >= 0 else { throw TestFailure("cannot make a file in /tmp: errno \(errno)") }
    path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let bytes = Array(text.utf8)
    let count = write(file, bytes, bytes.count)
    close(file)
    guard count == bytes.count else { throw TestFailure("cannot write \(path): errno \(errno)") }
  }

  deinit { unlink(path) }

  /// Starts a node with the file, and deletes the file once the node has read it. It takes nobody for a ghost who reads
  /// nothing for as long as a slow machine needs to fill a queue.
  package static func node(rooms: String, _ flags: [String] = []) throws -> RoostProcess {
    let file = try SettingsFileOnDisk(#"{"rooms":\#(rooms)}"#)
    return try withExtendedLifetime(file) {
      try RoostProcess(["--config", file.path, "--ping-interval", "10m"] + flags)
    }
  }
}
