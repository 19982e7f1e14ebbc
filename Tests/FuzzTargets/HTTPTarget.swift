import HTTPCore

/// Reads requests or responses, whole and cut, and compares what came of both (RFC 9112).
enum HTTPTarget {
  /// Small, so that inputs of a few hundred bytes reach every limit.
  private static let bodyBytesMax = 512

  private static var limits: HeadLimits {
    var limits = HeadLimits()
    limits.headBytesMax = 512
    limits.headersMax = 8
    limits.targetBytesMax = 96
    return limits
  }

  static func check(_ input: [UInt8]) throws(Broken) {
    guard let input = CutInput(input) else { return }
    if input.options & 1 == 0 {
      var whole = RequestTrace(limits, bodyBytesMax: bodyBytesMax)
      try whole.feed(Array(input.bytes))
      var cut = RequestTrace(limits, bodyBytesMax: bodyBytesMax)
      var cutting = input.cutting
      try cutting.pieces(of: input.bytes) { piece throws(Broken) in
        try cut.feed(piece)
        return true
      }
      try require(whole.events == cut.events, "cut requests read like whole ones: \(whole.events) or \(cut.events)")
    } else {
      let answersHead = input.options & 2 != 0
      var whole = ResponseTrace(limits, bodyBytesMax: bodyBytesMax, answersHead: answersHead)
      try whole.feed(Array(input.bytes))
      whole.end()
      var cut = ResponseTrace(limits, bodyBytesMax: bodyBytesMax, answersHead: answersHead)
      var cutting = input.cutting
      try cutting.pieces(of: input.bytes) { piece throws(Broken) in
        try cut.feed(piece)
        return true
      }
      cut.end()
      try require(whole.events == cut.events, "cut responses read like whole ones: \(whole.events) or \(cut.events)")
    }
  }
}

/// Writes down what a request parser and the body readers behind it saw.
private struct RequestTrace {
  private(set) var events: [String] = []
  private var parser: RequestParser
  private var body: BodyReader?
  private let bodyBytesMax: Int
  private var hasFailed = false

  init(_ limits: HeadLimits, bodyBytesMax: Int) {
    parser = RequestParser(limits: limits)
    self.bodyBytesMax = bodyBytesMax
  }

  mutating func feed(_ bytes: [UInt8]) throws(Broken) {
    var cursor = 0
    while !hasFailed {
      let before = cursor
      let isDone = try body == nil ? readHead(bytes, &cursor) : readBody(bytes, &cursor)
      try require(cursor >= before && cursor <= bytes.count, "the cursor moves on within the buffer")
      if isDone {
        try require(hasFailed || cursor == bytes.count, "who needs more has consumed everything")
        return
      }
    }
  }

  /// No proxy in front can read another path (RFC 3986 section 6.2.2.3).
  private func checkPath(_ path: [UInt8]) throws(Broken) {
    guard let decoded = PercentCoding.decode(path.span) else {
      throw Broken(description: "every escape of a path is one")
    }
    let slash = UInt8(ascii: "/")
    let segments = path.split(separator: slash, omittingEmptySubsequences: false).dropFirst()
    try require(!segments.dropLast().contains([]), "no segment but the last is empty")
    let names = segments.compactMap { PercentCoding.decode(Array($0).span) }
    try require(
      !names.contains { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }, "no segment is a dot or two")
    try require(decoded.count <= path.count, "an escape is longer than what it stands for")
  }

  /// Returns whether the bytes are used up.
  private mutating func readHead(_ bytes: [UInt8], _ cursor: inout Int) throws(Broken) -> Bool {
    switch parser.next(in: bytes.span, from: &cursor) {
    case .needMore: return true
    case .failed(let status, let reason): return try fail(status, reason)
    case .request(let head):
      let isAsterisk = head.path == [UInt8(ascii: "*")]
      try require(isAsterisk || head.path.first == UInt8(ascii: "/"), "a path begins with a slash")
      try require(head.framing != .untilClose, "no request's body goes on until the connection ends")
      try require(head.versionMinor == 0 || head.copy(.host) != nil, "HTTP/1.1 has a Host")
      try checkPath(head.path)
      try require(head.host == nil || head.authority != nil, "a host stands in an authority")
      events.append(
        "\(text(head.methodName)) \(head.path) \(head.cookie("a") ?? []) \(text(head.rawQuery)) \(head.query.items) "
          + "\(head.versionMinor) \(head.headers.count) \(head.framing) \(head.keepAlive) \(head.expectsContinue)")
      body = BodyReader(head.framing, bodyBytesMax: bodyBytesMax)
      return false
    }
  }

  private mutating func readBody(_ bytes: [UInt8], _ cursor: inout Int) throws(Broken) -> Bool {
    // Taken out and put back: a reader in place would be copied with its body.
    guard var reader = body.take() else { return false }
    switch reader.next(in: bytes.span, from: &cursor) {
    case .needMore:
      body = reader
      return true
    case .failed(let status, let reason): return try fail(status, reason)
    case .complete(let content):
      try require(content.count <= bodyBytesMax, "a body keeps to its limit")
      events.append("body \(content)")
      return false
    }
  }

  private mutating func fail(_ status: Int, _ reason: StaticString) throws(Broken) -> Bool {
    try require((400...599).contains(status), "a refused request has a status of an error")
    events.append("failed \(status) \(reason)")
    hasFailed = true
    return true
  }

  private func text(_ span: Span<UInt8>) -> String { String(decoding: span.indices.map { span[$0] }, as: UTF8.self) }
}

/// Writes down what a response parser saw.
private struct ResponseTrace {
  private(set) var events: [String] = []
  private var parser: ResponseParser
  private let bodyBytesMax: Int
  private var hasEnded = false

  init(_ limits: HeadLimits, bodyBytesMax: Int, answersHead: Bool) {
    parser = ResponseParser(bodyBytesMax: bodyBytesMax, limits: limits, answersHead: answersHead)
    self.bodyBytesMax = bodyBytesMax
  }

  mutating func feed(_ bytes: [UInt8]) throws(Broken) {
    var cursor = 0
    while !hasEnded {
      let before = cursor
      let event = parser.next(in: bytes.span, from: &cursor)
      try require(cursor >= before && cursor <= bytes.count, "the cursor moves on within the buffer")
      if case .response(let response) = event {
        try require(response.body.count <= bodyBytesMax, "a body keeps to its limit")
        // RFC 9110 section 15.2.2: another protocol begins behind a 101.
        hasEnded = response.status == 101
      }
      guard note(event) else { return }
    }
  }

  mutating func end() {
    if !hasEnded { _ = note(parser.end()) }
  }

  /// Returns whether there may be more in the buffer.
  private mutating func note(_ event: ResponseParser.Event) -> Bool {
    switch event {
    case .needMore: return false
    case .response(let response):
      events.append("\(response.status) \(response.headers.count) \(response.body)")
      return true
    case .failed(let reason):
      events.append("failed \(reason)")
      hasEnded = true
      return false
    }
  }
}
