import CSystem
import Glibc

/// Names a process so that another on the same machine can find out whether it has ended.
///
/// The text holds random letters, the machine's boot, the namespace of process numbers, the number, and when the process
/// began: two processes never have the same.
public enum ProcessIdentity {
  /// Makes a text for this process; every call makes another.
  public static func make() -> String {
    let random = Digest.randomBytes(8).map { String($0, radix: 16) }.joined()
    let start = self.start(of: getpid()) ?? ""
    return [random, place(), String(getpid()), start].joined(separator: ";")
  }

  /// Whether the process is known to have ended. False when it was on another machine, in another container, or runs.
  public static func hasEnded(_ text: String) -> Bool {
    let parts = text.split(separator: ";", omittingEmptySubsequences: false)
    guard parts.count == 4, let process = pid_t(parts[2]), process > 0, !parts[3].isEmpty, parts[1] == place() else {
      return false
    }
    guard kill(process, 0) == 0 else { return errno == ESRCH }
    guard let (state, start) = status(of: process) else { return false }
    // A zombie has ended; a number that began at another time is another process.
    return state == "Z" || state == "X" || start != String(parts[3])
  }

  /// Where process numbers mean the same: this boot of this machine, in this namespace. Empty when that cannot be known.
  private static func place() -> String {
    var facts = stat()
    guard stat("/proc/self/ns/pid", &facts) == 0, let boot = contents("/proc/sys/kernel/random/boot_id") else {
      return ""
    }
    return "\(boot.prefix { $0 != "\n" }):\(facts.st_ino)"
  }

  private static func start(of process: pid_t) -> String? { status(of: process)?.start }

  /// The third and the 22nd field of `/proc/PID/stat` (proc(5)): the state, and when it began, in clock ticks after the boot.
  private static func status(of process: pid_t) -> (state: String, start: String)? {
    guard let text = contents("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    return fields.count > 19 ? (String(fields[0]), String(fields[19])) : nil
  }

  private static func contents(_ path: String) -> String? {
    do throws(SystemError) {
      return String(decoding: try WholeFile.read(path, bytesMax: 4096), as: UTF8.self)
    } catch {
      return nil
    }
  }
}
