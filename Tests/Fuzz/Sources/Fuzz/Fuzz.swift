import CLibFuzzer
import FuzzTargets
import Glibc

/// Hands libFuzzer's inputs to one target: `Fuzz TARGET [libFuzzer's own arguments]`.
@main
enum Fuzz {
  // Safe because it is set before libFuzzer begins, and libFuzzer calls from the thread that it was started on.
  nonisolated(unsafe) private static var check: ([UInt8]) throws(Broken) -> Void = { _ in }

  static func main() {
    guard CommandLine.argc > 1, let target = FuzzTarget(rawValue: CommandLine.arguments[1]) else {
      let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: " ")
      print("Usage: Fuzz TARGET [LIBFUZZER ARGUMENTS]; targets: \(names)")
      exit(64)
    }
    check = target.makeCheck()
    // libFuzzer reads the program's name and then its own arguments, so the target's name is left out.
    let words = [CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2)
    var count = Int32(words.count)
    // Safe because the copies live until the process ends, and libFuzzer finds the list closed by nil.
    let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: words.count + 1)
    for (index, word) in words.enumerated() { list[index] = strdup(word) }
    list[words.count] = nil
    var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = list
    let status = LLVMFuzzerRunDriver(&count, &pointer) { data, size in
      Fuzz.run(UnsafeBufferPointer(start: data, count: size))
    }
    exit(status)
  }

  private static func run(_ input: UnsafeBufferPointer<UInt8>) -> Int32 {
    do throws(Broken) {
      try check(Array(input))
    } catch {
      fatalError("broken promise: \(error)")
    }
    return 0
  }
}
