import ClientProtocol
import JSONCore
import Testing

@testable import Server

@Suite("The last 15 minutes of a node, pure")
struct NodeHistoryTests {
  private static func sample(_ slot: UInt64, _ fill: UInt64 = 0) -> HistorySample {
    HistorySample(slot: slot, words: [UInt64](repeating: fill, count: HistorySample.wordCount))
  }

  @Test("keeps 180 samples in 74,880 bytes, and the newest take the place of the oldest")
  func ring() {
    var history = NodeHistory()
    #expect(history.byteCount == 74_880 && history.newest == nil)
    for slot in 1...UInt64(NodeHistory.samplesMax + 7) { history.add(Self.sample(slot, slot)) }
    #expect(history.count == 180 && history.byteCount == 74_880)
    let all = history.samples(in: 0...1_000)
    #expect(all.map(\.slot) == Array(8...187))
    #expect(all.allSatisfy { $0.words == Self.sample(0, $0.slot).words })
    #expect(history.samples(in: 100...102).map(\.slot) == [100, 101, 102])
    #expect(history.newest?.slot == 187)
  }

  @Test("leaves a gap where none was taken, takes one interval once, and forgets what a clock set back has made wrong")
  func clock() {
    var history = NodeHistory()
    for slot: UInt64 in [10, 11, 14, 14] { history.add(Self.sample(slot)) }
    #expect(history.samples(in: 0...100).map(\.slot) == [10, 11, 14])
    history.add(Self.sample(5))
    #expect(history.samples(in: 0...100).map(\.slot) == [5])
  }

  @Test("takes a sample at each boundary once, however early or late its timer is")
  func boundaries() {
    let boundary: UInt64 = 1_700_000_000_000
    for (late, slot) in [(-20, 339_999_999), (0, 339_999_999), (900, 339_999_999)] as [(Int, UInt64)] {
      let now = UInt64(Int(boundary) + late)
      #expect(NodeHistory.slot(endingNear: now) == slot, "\(late)")
      #expect(now + NodeHistory.wait(at: now) == boundary + 5_000, "\(late)")
    }
    #expect(NodeHistory.end(of: 339_999_999) == boundary)
  }

  @Test("answers intervals that every node has had the time to sample, of the last 15 minutes")
  func range() {
    let boundary: UInt64 = 1_700_000_000_000
    let slot = boundary / 5_000 - 1
    #expect(NodeHistory.range(since: nil, now: boundary + 999) == (slot - 180)...(slot - 1))
    #expect(NodeHistory.range(since: nil, now: boundary + 1_000) == (slot - 179)...slot)
    #expect(NodeHistory.range(since: boundary - 5_000, now: boundary + 1_000) == slot...slot)
    #expect(NodeHistory.range(since: boundary, now: boundary + 1_000) == nil)
    #expect(NodeHistory.range(since: .max, now: boundary) == nil)
    #expect(NodeHistory.range(since: 0, now: boundary + 1_000) == (slot - 179)...slot)
    #expect(NodeHistory.range(since: nil, now: 0) == nil)
  }

  @Test("adds nodes up by interval, the webhook's lag by the largest, and writes columns of one length")
  func sums() throws {
    var (a, b) = (Self.sample(7, 1), Self.sample(7, 2))
    a.words[HistoryHistogram.redis.places.lowerBound] = 9
    b.words[HistorySeries.webhookLag.rawValue] = 30
    var sum = HistorySum()
    sum.add([a, Self.sample(8, 4)], in: 7...8)
    sum.add([b, Self.sample(9, 4)], in: 7...8)
    var writer = JSONWriter()
    writer.beginObject()
    sum.write(to: &writer)
    writer.endObject()
    let json = try JSONValue.parse(writer.finish().span)
    #expect(json["times"]?.asArray?.map(\.asInt) == [40_000, 45_000])
    #expect(json["series"]?["messagesIn"]?.asArray?.map(\.asInt) == [3, 4])
    #expect(json["series"]?["webhookLag"]?.asArray?.map(\.asInt) == [30, 4])
    let names = json["series"]?.asObject ?? []
    #expect(names.count == HistorySeries.allCases.count && names.allSatisfy { $0.value.asArray?.count == 2 })
    for histogram in HistoryHistogram.allCases {
      #expect(histogram.places.count == histogram.bounds.count + 1)
    }
    #expect(json["redis"]?["bounds"]?.asArray?.first?.asDouble == 0.1)
    #expect(json["redis"]?["counts"]?.asArray?.first?.asArray?.first?.asInt == 11)
  }

  @Test("leaves out the empty buckets at the end of a histogram")
  func buckets() throws {
    var sample = Self.sample(7)
    sample.words[HistoryHistogram.delivery.places.lowerBound + 2] = 5
    var sum = HistorySum()
    sum.add([sample], in: 7...7)
    var writer = JSONWriter()
    writer.beginObject()
    sum.write(to: &writer)
    writer.endObject()
    let json = try JSONValue.parse(writer.finish().span)
    #expect(json["delivery"]?["counts"]?.asArray?.first?.asArray?.map(\.asInt) == [0, 0, 5])
    #expect(json["redis"]?["counts"]?.asArray?.first?.asArray?.isEmpty == true)
  }
}

@Suite("What nodes ask each other for operators, pure")
struct NodeQuestionTests {
  @Test("reads what it writes, and refuses everything else")
  func questions() {
    for question in [.history(0...179), .history(3...3), .topRooms, .connection(Array("n-1".utf8))] as [NodeQuestion] {
      #expect(NodeQuestion(question.encoded) == question)
      #expect(ConnectionQuestion(question.encoded) == nil)
    }
    let texts = ["", "a", "ah", "ax", "ar1", "ac", "o1 0 0 0 0 x", "ac" + String(repeating: "n", count: 600)]
    for text in texts { #expect(NodeQuestion(Array(text.utf8)) == nil, "\(text)") }
    let reversed = NodeQuestion.history(1...2).encoded
    #expect(NodeQuestion([reversed[0], reversed[1], 2, 1]) == nil)
    #expect(NodeQuestion(reversed + [0]) == nil)
    #expect(NodeQuestion(Array("ah".utf8) + [UInt8](repeating: 0xFF, count: 20)) == nil)
  }

  @Test("carries samples and rooms whole, and takes nothing that is cut, longer or of another form")
  func answers() {
    let large = HistorySample(slot: 340_000_000, words: (0..<HistorySample.wordCount).map { .max - UInt64($0) })
    let samples = [HistorySample(slot: 1, words: [UInt64](repeating: 0, count: HistorySample.wordCount)), large]
    #expect(HistorySample.decode(HistorySample.encode(samples)) == samples)
    #expect(HistorySample.decode(HistorySample.encode([])) == [])
    let bytes = HistorySample.encode(samples)
    #expect(HistorySample.decode(Array(bytes.dropLast())) == nil && HistorySample.decode(bytes + [1]) == nil)
    #expect(HistorySample.decode([]) == nil && HistorySample.decode([7]) == nil)
    let tooMany = [HistorySample](repeating: samples[0], count: NodeHistory.samplesMax + 1)
    #expect(HistorySample.decode(HistorySample.encode(tooMany)) == nil)

    let rooms = [
      RoomLoad(name: Array("r".utf8), connectionCount: 3, messagesInTenSeconds: nil),
      RoomLoad(name: Array("ü\u{202E}".utf8), connectionCount: 0, messagesInTenSeconds: 0),
    ]
    let encoded = RoomLoad.encode(rooms)
    #expect(RoomLoad.decode(encoded) == rooms)
    #expect(RoomLoad.decode(Array(encoded.dropLast())) == nil)
    // Names that no room has, and more rooms than a node sends.
    #expect(RoomLoad.decode(RoomLoad.encode([RoomLoad(name: [0x0A], connectionCount: 1)])) == nil)
    #expect(RoomLoad.decode(RoomLoad.encode([RoomLoad](repeating: rooms[0], count: 201))) == nil)
  }

  @Test("keeps the largest of many rooms, of two alike the first by name")
  func top() {
    var list = TopList(max: 3)
    for (name, count) in [("d", 1), ("c", 5), ("a", 1), ("b", 5), ("e", 9), ("f", 0)] {
      list.add(RoomLoad(name: Array(name.utf8), connectionCount: count), UInt64(count))
    }
    #expect(list.rooms.map { String(decoding: $0.name, as: UTF8.self) } == ["e", "b", "c"])
    let room = RoomLoad(name: [1], connectionCount: 2, messagesInTenSeconds: 5)
    let joined = room.joined(with: RoomLoad(name: [1], connectionCount: 3, messagesInTenSeconds: nil))
    #expect(joined == RoomLoad(name: [1], connectionCount: 5, messagesInTenSeconds: 5))
  }

  @Test("takes operations of an operator's socket in their form only")
  func operations() throws {
    func read(_ text: String) throws -> LiveOperation { try LiveOperation(Array(text.utf8).span) }
    #expect(try read(#"{"type":"auth","token":"t"}"#) == .auth(token: [0x74]))
    #expect(try read(#"{"type":"unwatch","id":"a"}"#) == .unwatch(id: [0x61]))
    guard case .watch(let watch) = try read(#"{"type":"watch","id":"a","path":"rooms?limit=5","every":5000}"#) else {
      Issue.record("no watch")
      return
    }
    #expect(watch.subject == .read(path: Array("rooms?limit=5".utf8)))
    #expect(watch.everyMilliseconds == 5_000 && watch.waitMilliseconds == 0)
    let wrong = [
      "", "[]", "{}", #"{"type":"watch"}"#, #"{"type":"watch","id":"a"}"#, #"{"type":"watch","id":"","path":"nodes"}"#,
      #"{"type":"watch","id":"a","path":"nodes","tail":"r"}"#, #"{"type":"watch","id":"a","path":""}"#,
      #"{"type":"watch","id":"a","path":"nodes HTTP/1.1\r\nX: y"}"#, #"{"type":"watch","id":"a","path":"nodes x"}"#,
      #"{"type":"watch","id":"a","path":"nodes","every":1}"#, #"{"type":"watch","id":"a","path":"nodes","every":"2s"}"#,
      #"{"type":"watch","id":"a","path":"nodes","wait":-1}"#, #"{"type":"watch","id":"a","tail":"r*"}"#,
      #"{"type":"watch","id":"a","tail":"\u0000"}"#, #"{"type":"auth"}"#, #"{"type":"auth","token":1}"#,
      #"{"type":"watch","id":"\#(String(repeating: "i", count: 65))","path":"nodes"}"#,
      #"{"type":"watch","id":"a","path":"\#(String(repeating: "p", count: 5000))"}"#,
    ]
    for text in wrong { #expect(throws: ProtocolError.self, "\(text)") { try read(text) } }
  }
}
