import Glibc
import Synchronization

/// Ends every process that tests have started when the test run itself ends, however it ends.
///
/// A shell holds the reading end of a pipe whose writing end lives as long as the test run. It is told of every process
/// group, and at the end of the pipe kills those that are left.
package enum ProcessReaper {
  private static let script = """
    declare -A groups
    while read -r sign group; do
      if [ "$sign" = + ]; then groups[$group]=1; else unset "groups[$group]"; fi
    done
    for group in "${!groups[@]}"; do kill -KILL -- "-$group" 2>/dev/null; done
    """

  private static let pipe = Mutex<Int32>(-1)

  /// Tells of a process group that was started.
  package static func watch(_ group: pid_t) { tell("+ \(group)\n") }

  /// Tells of a process group that is gone.
  package static func forget(_ group: pid_t) { tell("- \(group)\n") }

  private static func tell(_ line: String) {
    pipe.withLock { descriptor in
      if descriptor < 0 { descriptor = start() }
      let bytes = Array(line.utf8)
      _ = write(descriptor, bytes, bytes.count)
    }
  }

  private static func start() -> Int32 {
    var ends: [Int32] = [-1, -1]
    let isMade = Spawn.lock.withLock { _ in
      Glibc.pipe(&ends) == 0 && ends.allSatisfy { fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }
    }
    guard isMade else { return -1 }
    defer { close(ends[0]) }
    let process = try? Spawn.start(["/bin/bash", "-c", script], environment: [:], input: ends[0], output: nil)
    return process == nil ? -1 : ends[1]
  }
}

/// Starts processes.
enum Spawn {
  /// Held while a process starts, and while a descriptor exists that is not yet close-on-exec: no process inherits one.
  static let lock = Mutex<Void>(())

  /// Starts a program in a process group of its own, with no signal blocked and three descriptors.
  ///
  /// - Parameters:
  ///   - input: its standard input; nil: /dev/null.
  ///   - output: its standard output and error; nil: /dev/null.
  static func start(
    _ command: [String], environment: [String: String], input: Int32?, output: Int32?
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, source) in [(0, input), (1, output), (2, output)] as [(Int32, Int32?)] {
      if let source {
        posix_spawn_file_actions_adddup2(&actions, source, target)
      } else {
        posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0)
      }
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    var process: pid_t = 0
    let code = withCStrings(command) { arguments in
      withCStrings(environment.map { "\($0.key)=\($0.value)" }) { variables in
        // Safe because a command has a first word.
        lock.withLock { _ in posix_spawnp(&process, arguments[0]!, &actions, &attributes, arguments, variables) }
      }
    }
    guard code == 0 else { throw TestFailure("cannot start \(command[0]): errno \(code)") }
    return process
  }

  private static func withCStrings<R>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    // Safe because the array and its strings live until `body` has returned, and it ends with NULL.
    return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
  }
}
