import Glibc

/// The command-line program `openssl`: it makes keys and certificates that no code under test has touched.
package enum OpenSSL {
  /// Runs a command to its end; throws when it fails.
  package static func run(_ arguments: [String]) throws {
    let process = try ChildProcess(["openssl"] + arguments)
    guard try process.waitForEnd() == .exited(0) else {
      throw TestFailure("openssl \(arguments.joined(separator: " ")): \(process.output)")
    }
  }

  /// Makes the HMAC-SHA256 of some bytes, in hexadecimal.
  package static func hmac(_ message: String, secret: String) throws -> String {
    let folder = try TemporaryFolder()
    try folder.write("message", Array(message.utf8))
    let process = try ChildProcess([
      "openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "key:\(secret)", folder.path("message"),
    ])
    guard try process.waitForEnd() == .exited(0),
      let digits = process.output.split(whereSeparator: \.isWhitespace).last
    else { throw TestFailure("openssl dgst: \(process.output)") }
    return String(digits)
  }

  /// Makes a key pair in two PEM files.
  ///
  /// - Parameter arguments: of `openssl genpkey`.
  package static func makeKey(
    _ arguments: [String], name: String, in folder: TemporaryFolder
  ) throws -> (privatePath: String, publicPath: String) {
    let pair = (privatePath: folder.path("\(name).pem"), publicPath: folder.path("\(name)-public.pem"))
    try run(["genpkey"] + arguments + ["-out", pair.privatePath])
    try run(["pkey", "-in", pair.privatePath, "-pubout", "-out", pair.publicPath])
    return pair
  }
}

/// A folder of its own for a test; it goes with the object.
package final class TemporaryFolder {
  private let root: String

  package init() throws {
    var template = Array("/tmp/roost-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TestFailure("cannot make a folder in /tmp") }
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    if let entries = opendir(root) {
      while let entry = readdir(entries) {
        // Safe because d_name is a NUL-terminated array inside the entry, copied at once.
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { unlink(path(name)) }
      }
      closedir(entries)
    }
    rmdir(root)
  }

  /// The path of a file in the folder; a path of the folder stays as it is.
  package func path(_ name: String) -> String { name.hasPrefix("/") ? name : "\(root)/\(name)" }

  /// Writes a file whole, replacing it in one step, as a careful administrator would.
  package func write(_ name: String, _ bytes: [UInt8]) throws {
    let file = open(path(name) + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw TestFailure("cannot write \(path(name))") }
    defer { close(file) }
    guard Glibc.write(file, bytes, bytes.count) == bytes.count, rename(path(name) + ".new", path(name)) == 0 else {
      throw TestFailure("cannot write \(path(name))")
    }
  }

  package func remove(_ name: String) throws {
    guard unlink(path(name)) == 0 else { throw TestFailure("cannot remove \(path(name))") }
  }

  package func read(_ name: String) throws -> [UInt8] {
    let file = open(path(name), O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw TestFailure("cannot read \(path(name))") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = Glibc.read(file, &bytes, bytes.count)
    return Array(bytes.prefix(max(0, count)))
  }
}
