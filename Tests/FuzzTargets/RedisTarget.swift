import Realtime
import RedisBackend

/// Reads Redis' replies, whole and cut, and walks through every part of them.
enum RedisTarget {
  static func check(_ input: [UInt8]) throws(Broken) {
    guard let input = CutInput(input), !announcesMuch(input.bytes) else { return }
    let whole = ReplyTrace()
    whole.feed(Array(input.bytes))
    let cut = ReplyTrace()
    var cutting = input.cutting
    try cutting.pieces(of: input.bytes) { piece throws(Broken) in
      cut.feed(piece)
      return true
    }
    try require(whole.events == cut.events, "cut replies read like whole ones: \(whole.events) or \(cut.events)")
  }

  /// hiredis takes memory for as many elements as an array announces; a server that we log in to is believed in that.
  private static func announcesMuch(_ bytes: ArraySlice<UInt8>) -> Bool {
    var digits = -1
    for byte in bytes {
      if byte == UInt8(ascii: "*") {
        digits = 0
      } else if digits >= 0, byte != 0x0D {
        digits += 1
        if digits > 4 { return true }
      } else {
        digits = -1
      }
    }
    return false
  }
}

/// Writes down what a reply reader saw.
private final class ReplyTrace {
  private(set) var events: [String] = []
  private let reader = ReplyReader()
  private var hasFailed = false

  func feed(_ bytes: [UInt8]) {
    guard !hasFailed else { return }
    // Safe because the reader copies the bytes during the call.
    let isGood = bytes.withUnsafeBytes { buffer in
      reader.feed(buffer) { reply in
        var text = ""
        Self.describe(reply, &text)
        events.append(text)
        return true
      }
    }
    guard !isGood else { return }
    hasFailed = true
    events.append("failed")
  }

  private static func describe(_ reply: Reply, _ text: inout String) {
    text += "\(reply.kind) \(reply.integer) \(reply.copy) \(reply.isFatal) \(reply.position.map { "\($0)" } ?? "-")"
    guard reply.count > 0 else { return }
    text += "["
    for index in 0..<reply.count {
      describe(reply[index], &text)
      text += ","
    }
    text += "]"
  }
}
