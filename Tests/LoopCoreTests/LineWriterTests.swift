import Glibc
import TestSupport
import Testing

@testable import LoopCore

@Suite("Lines of log")
struct LineWriterTests {
  /// The two ends of a pipe, closed when the object goes.
  private final class Pipe {
    let readEnd: Int32
    let writeEnd: Int32

    init() throws {
      var ends: [Int32] = [-1, -1]
      guard pipe(&ends) == 0 else { throw TestFailure("no pipe: errno \(errno)") }
      (readEnd, writeEnd) = (ends[0], ends[1])
      _ = fcntl(readEnd, F_SETFL, O_NONBLOCK)
    }

    deinit {
      close(readEnd)
      close(writeEnd)
    }

    /// Everything that is there now.
    func read() -> [UInt8] {
      var bytes: [UInt8] = []
      var chunk = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = Glibc.read(readEnd, &chunk, chunk.count)
        guard count > 0 else { return bytes }
        bytes += chunk[..<count]
      }
    }
  }

  private func line(_ number: Int) -> [UInt8] { Array("line \(number) \(String(repeating: "x", count: 90))\n".utf8) }

  @Test("never waits for a reader: what does not fit is dropped whole and counted, the rest comes in order")
  func unread() throws {
    let pipe = try Pipe()
    let writer = LineWriter(descriptor: pipe.writeEnd, bytesMax: 10_000)
    // More than the pipe's 64 KiB and the buffer hold.
    for number in 0..<5000 { writer.write(line(number)) }
    #expect(writer.droppedCount > 0)
    writer.drain(milliseconds: 10)
    var bytes: [UInt8] = []
    try eventually("all that was kept is written") {
      bytes += pipe.read()
      return bytes.count { $0 == UInt8(ascii: "\n") } == 5000 - Int(writer.droppedCount)
    }
    let numbers = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { text -> Int? in
      let words = text.split(separator: " ")
      return words.count == 3 && words[0] == "line" && words[2].utf8.count == 90 ? Int(words[1]) : nil
    }
    #expect(!numbers.contains(nil), "a line was cut")
    #expect(numbers.compactMap { $0 } == numbers.compactMap { $0 }.sorted())
    // There is room again, and it is said once how much was lost.
    #expect(writer.takeUnreported() == writer.droppedCount)
    #expect(writer.takeUnreported() == 0)
    writer.write(line(5000))
    writer.drain()
    #expect(pipe.read() == line(5000))
  }

  @Test("has written everything when a drain returns, if somebody reads")
  func drain() throws {
    let pipe = try Pipe()
    let writer = LineWriter(descriptor: pipe.writeEnd)
    for number in 0..<100 { writer.write(line(number)) }
    writer.drain()
    #expect(pipe.read().count == (0..<100).reduce(0) { $0 + line($1).count })
  }

  @Test("counts lines that a broken descriptor does not take")
  func broken() throws {
    let writer = LineWriter(descriptor: -1)
    writer.write(line(0))
    try eventually("the line is counted") { writer.droppedCount == 1 }
  }
}
