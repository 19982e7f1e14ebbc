import JSONCore

/// A client with a poll connection, which asks the node that it is given each time.
package final class PollClient {
  package let name: String
  package let user: String
  package private(set) var seq: Int
  /// What the first answer brought.
  package let greeting: [JSONValue]

  /// Opens a connection.
  ///
  /// - Parameter rooms: of the query, such as `room=a&since=1:2&room=b`.
  package init(_ node: RoostProcess, _ user: String, _ rooms: String = "room=r") throws {
    let answer = try node.http.get("/poll?connection=new&user=\(user)&\(rooms)")
    guard answer.status == 200, let name = try answer.json()["connection"]?.asString,
      let seq = try answer.json()["seq"]?.asInt, let messages = try answer.json()["messages"]?.asArray
    else { throw TestFailure("no poll connection: \(answer)") }
    (self.name, self.user, self.seq, greeting) = (name, user, seq, messages)
  }

  /// The path of a poll that confirms what was answered.
  package func path(wait: String = "10s", seq: Int? = nil) -> String {
    "/poll?connection=\(name)&user=\(user)&seq=\(seq ?? self.seq)&wait=\(wait)"
  }

  /// Polls and returns the messages.
  package func poll(_ node: RoostProcess, wait: String = "10s") throws -> [JSONValue] {
    try take(try node.http.ask("GET", path(wait: wait), within: 20))
  }

  /// Sends a poll, whose answer is read later.
  package func begin(_ node: RoostProcess, wait: String = "30s") throws -> TCPConnection {
    let connection = try TCPConnection(port: node.port)
    try connection.send(HTTPClient.request("GET", path(wait: wait)))
    return connection
  }

  /// Takes the messages of an answer.
  package func take(_ answer: HTTPAnswer) throws -> [JSONValue] {
    guard answer.status == 200, let seq = try answer.json()["seq"]?.asInt,
      let messages = try answer.json()["messages"]?.asArray
    else { throw TestFailure("no messages: \(answer)") }
    self.seq = seq
    return messages
  }

  /// Has a node do an operation as this connection's.
  package func send(_ node: RoostProcess, _ operation: String) throws -> HTTPAnswer {
    try node.http.ask("POST", "/send?connection=\(name)&user=\(user)", body: operation)
  }

  package func end(_ node: RoostProcess) throws -> Int {
    try node.http.ask("DELETE", "/poll?connection=\(name)&user=\(user)").status
  }
}
