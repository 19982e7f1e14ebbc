import CSystem

/// What the program writes when it crashes: the signal, and the places in the program that led there.
///
/// The Swift runtime would write more where it finds its backtracer (`SWIFT_BACKTRACE`, the manual of Swift's backtracing):
/// registers and the memory they point to, in which tokens and messages may stand. So its handlers are replaced, whatever
/// the environment says.
public enum CrashReport {
  /// Replaces the runtime's handlers. Called once, before anything else.
  public static func replaceRuntimeReport() { roost_report_crashes() }
}
