import JSONCore

/// An answer, read by hand: the parser under test must not be the one that judges it.
package struct HTTPAnswer: CustomStringConvertible {
  package let status: Int
  /// Names in lower case.
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]
  /// Bytes that came behind the answer.
  package let rest: [UInt8]

  package var text: String { String(decoding: body, as: UTF8.self) }
  package var description: String { "\(status) \(headers) \(text)" }

  /// The first header of that name, in lower case, or nil.
  package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  /// The body as JSON.
  package func json() throws -> JSONValue {
    do { return try JSONValue.parse(body.span) } catch { throw TestFailure("no JSON (\(error)): \(self)") }
  }
}

/// Asks a server on this machine, one connection for each request unless told otherwise.
package struct HTTPClient {
  package let port: UInt16
  /// The server, kept alive as long as somebody may ask it.
  private let server: AnyObject?

  package init(port: UInt16, server: AnyObject? = nil) {
    self.port = port
    self.server = server
  }

  /// Sends one request and reads its answer.
  package func ask(
    _ method: String, _ target: String, headers: [String] = [], body: String? = nil, within seconds: Double = 10
  ) throws -> HTTPAnswer {
    let connection = try TCPConnection(port: port)
    try connection.send(HTTPClient.request(method, target, headers: headers, body: body))
    return try HTTPClient.readAnswer(connection, hasBody: method != "HEAD", within: seconds)
  }

  package func get(_ target: String, headers: [String] = []) throws -> HTTPAnswer {
    try ask("GET", target, headers: headers)
  }

  /// Sends raw bytes and reads one answer.
  package func raw(_ bytes: String, within seconds: Double = 10) throws -> HTTPAnswer {
    let connection = try TCPConnection(port: port)
    try connection.send(bytes)
    return try HTTPClient.readAnswer(connection, within: seconds)
  }

  /// Writes a request.
  package static func request(_ method: String, _ target: String, headers: [String] = [], body: String? = nil) -> String
  {
    var lines = ["\(method) \(target) HTTP/1.1", "Host: 127.0.0.1"] + headers
    if let body { lines.append("Content-Length: \(body.utf8.count)") }
    return lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
  }

  /// Reads one answer from a connection: its length is given by Content-Length, or by the connection's end.
  ///
  /// - Parameter buffered: bytes read before.
  package static func readAnswer(
    _ connection: TCPConnection, buffered: [UInt8] = [], hasBody: Bool = true, within seconds: Double = 10
  ) throws -> HTTPAnswer {
    let deadline = Deadline(within: seconds)
    var bytes = buffered
    var hasEnded = false
    while true {
      if let answer = try parse(bytes, hasBody: hasBody, hasEnded: hasEnded) { return answer }
      switch connection.read(until: deadline) {
      case .bytes(let more): bytes += more
      case .end where !hasEnded: hasEnded = true
      case .end, .nothing:
        throw TestFailure("no whole answer within \(seconds) s; received: \(String(decoding: bytes, as: UTF8.self))")
      }
    }
  }

  private static func parse(_ bytes: [UInt8], hasBody: Bool, hasEnded: Bool) throws -> HTTPAnswer? {
    let text = String(decoding: bytes, as: UTF8.self)
    let separator = Array("\r\n\r\n".utf8)
    guard bytes.count >= 4,
      let end = (0...(bytes.count - 4)).first(where: { bytes[$0..<($0 + 4)].elementsEqual(separator) })
    else { return nil }
    let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n").map(String.init)
    let parts = (lines.first ?? "").split(separator: " ", maxSplits: 2)
    guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else {
      throw TestFailure("no status line: \(text)")
    }
    let headers = lines.dropFirst().map { line in
      let colon = line.firstIndex(of: ":") ?? line.endIndex
      let value = line[colon...].dropFirst().drop { $0 == " " }
      return (name: line[..<colon].lowercased(), value: String(value))
    }
    let rest = bytes[(end + 4)...]
    let announced = headers.first { $0.name == "content-length" }.flatMap { Int($0.value) }
    guard hasBody, status >= 200, status != 204, status != 304 else {
      return HTTPAnswer(status: status, headers: headers, body: [], rest: Array(rest))
    }
    if let announced {
      guard rest.count >= announced else { return nil }
      return HTTPAnswer(
        status: status, headers: headers, body: Array(rest.prefix(announced)), rest: Array(rest.dropFirst(announced)))
    }
    return hasEnded ? HTTPAnswer(status: status, headers: headers, body: Array(rest), rest: []) : nil
  }
}
