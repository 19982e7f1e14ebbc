import Glibc

/// Processor time, user and system together.
struct ProcessorTime {
  var seconds = 0.0

  static func - (a: ProcessorTime, b: ProcessorTime) -> ProcessorTime { ProcessorTime(seconds: a.seconds - b.seconds) }

  /// Returns what this process has used.
  static func ofThisProcess() -> ProcessorTime {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return ProcessorTime(seconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9)
  }

  /// Returns what other processes have used together, to 10 ms; one that is gone counts nothing.
  static func ofProcesses(_ processes: [String]) -> ProcessorTime {
    let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
    var ticks = 0.0
    for process in processes {
      // The name in parentheses may hold spaces; utime and stime are the 12th and 13th word behind it (proc_pid_stat(5)).
      let line = SmallFile.read("/proc/\(process)/stat")
      guard let end = line.lastIndex(of: ")") else { continue }
      let words = line[line.index(after: end)...].split(separator: " ")
      guard words.count > 12, let user = Double(words[11]), let system = Double(words[12]) else { continue }
      ticks += user + system
    }
    return ProcessorTime(seconds: ticks / ticksPerSecond)
  }
}

/// The memory of other processes.
enum ResidentMemory {
  /// Returns the resident bytes of processes together; nil when one of them cannot be read.
  static func bytes(of processes: [String]) -> Int? {
    var sum = 0
    for process in processes {
      let lines = SmallFile.read("/proc/\(process)/status").split(separator: "\n")
      guard let line = lines.first(where: { $0.hasPrefix("VmRSS:") }),
        let kibibytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) })
      else { return nil }
      sum += kibibytes * 1024
    }
    return sum
  }
}

/// Files of the kernel that fit into one read.
enum SmallFile {
  /// Returns the text of a file; empty when it cannot be read.
  static func read(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
