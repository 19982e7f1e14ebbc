import Glibc

/// Reads settings files.
public enum SettingsFile {
  /// The longest file accepted in bytes; a file of settings has a few hundred.
  public static let bytesMax = 1 << 20

  /// Reads a whole file; the error names the path and what the system said.
  public static func read(_ path: String) -> Result<[UInt8], SettingsError> {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return .failure(failure(path)) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while true {
      // Safe because read writes at most the array's count of bytes into it.
      let count = chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return .failure(failure(path)) }
      if count == 0 { return .success(bytes) }
      bytes += chunk[..<count]
      guard bytes.count <= bytesMax else {
        return .failure(SettingsError(message: "\(path): longer than 1 MiB; expected a small JSON object"))
      }
    }
  }

  private static func failure(_ path: String) -> SettingsError {
    // Safe because strerror returns a C string that stays valid until the next call on this thread.
    let reason = unsafe String(cString: strerror(errno))
    return SettingsError(message: "\(path): \(reason)")
  }
}
