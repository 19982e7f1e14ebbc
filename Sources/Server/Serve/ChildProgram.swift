import Glibc
import LoopCore

/// Programs that a node starts: its workers, and that of the bridges.
enum ChildProgram {
  /// Starts a program (posix_spawn(3)).
  ///
  /// It begins with the signals blocked that it reads itself: one that comes before it can is kept for it.
  ///
  /// - Parameter descriptors: what it has open besides the standard ones. All else closes by itself: a socket that another
  ///   process held, too, would outlive the one that it is for.
  static func spawn(
    _ path: String, _ arguments: [String], _ environment: [String: String], keeping descriptors: [Int32]
  ) throws(SystemError) -> pid_t {
    var process: pid_t = 0
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var blocked = sigset_t()
    sigemptyset(&blocked)
    for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&blocked, signal) }
    posix_spawnattr_setsigmask(&attributes, &blocked)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor in descriptors { posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor) }
    let code = CStrings.with(arguments) { argv in
      CStrings.with(environment.map { "\($0.key)=\($0.value)" }) { envp in
        posix_spawn(&process, path, &actions, &attributes, argv, envp)
      }
    }
    guard code == 0 else { throw SystemError("posix_spawn", code: code) }
    return process
  }
}

/// Lends strings as a NULL-terminated array of C strings.
enum CStrings {
  static func with<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    // Safe because the array and its strings live until `body` has returned, and it ends with NULL.
    return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
  }
}
