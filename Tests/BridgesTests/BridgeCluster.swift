import Glibc
import TestSupport

/// How many messages a test carries each way: few in the ordinary run, `BRIDGE_MESSAGES` of them for `make bridges`.
enum Load {
  static let messages = getenv("BRIDGE_MESSAGES").flatMap { Int(String(cString: $0)) } ?? 2000
  static let isLarge = messages > 10_000
  /// Seconds that they may take.
  static let seconds = Double(isLarge ? 300 : 45)
  static let keys = 8
}

/// Nodes with one bridge.
final class BridgeCluster {
  let redis: RedisProcess
  private let file: SettingsFileOnDisk
  private(set) var nodes: [RoostProcess] = []

  init(_ bridge: String) throws {
    redis = try RedisProcess()
    file = try SettingsFileOnDisk(#"{"bridges":[\#(bridge)]}"#)
  }

  @discardableResult
  func addNode(_ flags: [String] = []) throws -> RoostProcess {
    let node = try RoostProcess(
      ["--redis", redis.url, "--workers", "1", "--config", file.path, "--history-size", "100000"] + flags)
    try node.awaitReady()
    nodes.append(node)
    return node
  }

  /// Starts a node without bridges.
  func plainNode() throws -> RoostProcess {
    let node = try RoostProcess(["--redis", redis.url, "--workers", "1", "--history-size", "100000"])
    try node.awaitReady()
    return node
  }

  /// Kills a node, its bridges with it.
  func kill(_ index: Int) { nodes[index].process.kill() }

  /// Publishes numbered messages in the rooms `out:0` … by batches of a node.
  func publish(_ numbers: Range<Int>, by node: RoostProcess) throws {
    for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 2000) {
      let lines = (start..<min(start + 2000, numbers.upperBound)).map {
        #"{"type":"publish","room":"out:\#($0 % Load.keys)","data":{"seq":\#($0 / Load.keys)}}"#
      }
      let answer = try node.admin(
        "POST", "batch", body: lines.joined(separator: "\n"), headers: ["Content-Type: application/x-ndjson"])
      guard answer.status == 200, !answer.text.contains(#""error""#) else { throw TestFailure("\(answer)") }
    }
  }

  /// The numbers of a room's messages, in their order.
  func sequence(of room: String) throws -> [Int] {
    Sequences.numbers(in: try redis.command("LRANGE roost:3:{r:\(room)}:log 0 -1"))
  }

  func count(of room: String) throws -> Int {
    Int(try redis.command("LLEN roost:3:{r:\(room)}:log").dropFirst().prefix { $0.isNumber }) ?? 0
  }
}

/// What became of numbered messages.
struct Tally: Equatable, CustomStringConvertible {
  var lost = 0
  var doubled = 0
  var reordered = 0
  static let perfect = Tally()

  var description: String { "lost \(lost), doubled \(doubled), reordered \(reordered)" }

  /// Adds what came of the numbers from 0 up to `count` of one key.
  mutating func add(_ numbers: [Int], of count: Int) {
    var seen = Set<Int>()
    var last = -1
    for number in numbers {
      if !seen.insert(number).inserted { doubled += 1 }
      if number < last { reordered += 1 }
      last = max(last, number)
    }
    lost += count - seen.count
  }
}

enum Sequences {
  /// The values of `seq` in a text.
  static func numbers(in text: String) -> [Int] {
    text.split(separator: "\"seq\":").dropFirst().compactMap { Int($0.prefix { $0.isNumber }) }
  }

  /// How many of the numbers below `total` a key has.
  static func count(of key: Int, total: Int) -> Int { (total - key + Load.keys - 1) / Load.keys }
}
