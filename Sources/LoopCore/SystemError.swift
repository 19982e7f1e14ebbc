import CSystem
import Glibc

/// A failed system call: which one, and why.
public struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The call and its subject, such as `bind 0.0.0.0:8080`.
  public let call: String
  /// The value of `errno` after the call.
  public let code: Int32

  public init(_ call: String, code: Int32 = errno) {
    self.call = call
    self.code = code
  }

  public var description: String { "\(call): \(SystemError.text(code))" }

  /// Returns the system's sentence for an `errno` value.
  public static func text(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    // The POSIX form: it writes into the buffer and returns a number.
    _ = strerror_r(code, &buffer, buffer.count)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
