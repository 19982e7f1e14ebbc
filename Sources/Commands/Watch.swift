import ClientCore
import Glibc

/// Looks again and again, until a signal ends the command.
enum Watch {
  /// Performs `look` at once and then at every interval; nil: once.
  ///
  /// A failure of the first look ends it. Later ones are reported and tried again: a node that restarts is what one watches.
  static func run(everyMilliseconds interval: Int?, _ look: () throws -> Void) throws {
    guard let interval else { return try look() }
    acceptSignals()
    let isTerminal = isatty(1) == 1
    var isFirst = true
    while true {
      if isTerminal { Output.clearScreen() } else if !isFirst { Output.text("\n") }
      do {
        try look()
      } catch let failure as CommandFailure where !isFirst && failure.status == ExitStatus.unavailable {
        Output.note(failure.message)
      }
      isFirst = false
      usleep(UInt32(interval) * 1000)
    }
  }

  /// Lets SIGTERM and SIGINT end the command, also where the program that has started it blocks them or ignores the first.
  private static func acceptSignals() {
    signal(SIGTERM, SIG_DFL)
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}
