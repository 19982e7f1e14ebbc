import Glibc

/// Finds files of this package's source.
package enum SourceTree {
  /// The Swift files below a folder, sorted.
  package static func swiftFiles(below folder: String) -> [String] {
    guard let entries = opendir(folder) else { return [] }
    defer { closedir(entries) }
    var files: [String] = []
    while let entry = readdir(entries) {
      // Safe because d_name is a NUL-terminated array inside the entry, copied at once.
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix(".") { continue }
      files += name.hasSuffix(".swift") ? ["\(folder)/\(name)"] : swiftFiles(below: "\(folder)/\(name)")
    }
    return files.sorted()
  }
}
