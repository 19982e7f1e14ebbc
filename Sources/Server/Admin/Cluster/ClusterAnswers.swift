import ClientProtocol
import HTTPCore
import JSONCore
import LoopCore
import Realtime

/// Answers the reads of the admin endpoint that need the memory of several nodes.
struct ClusterAnswers {
  private let endpoint: AdminEndpoint

  init(_ endpoint: AdminEndpoint) { self.endpoint = endpoint }

  private var reads: ClusterReads? { endpoint.node?.clusterReads }

  // MARK: The last 15 minutes

  /// `GET /admin/stats`.
  func stats(_ request: Request) {
    guard let node = endpoint.node, let reads else { return refuseAlone(request) }
    let query = request.head.query
    var since: UInt64?
    if let text = query.first("since") {
      guard let value = JSONNumber.unsigned(text.span) else {
        return endpoint.refuse(request, .badRequest, "since must be milliseconds since 1970")
      }
      since = value
    }
    guard let range = NodeHistory.range(since: since, now: Clock.wallMilliseconds()) else {
      return finish(request, ClusterReads.Answers(answered: [(node.id, [])]), HistorySum())
    }
    guard let name = query.first("node") else {
      return reads.askAll(.history(range)) { finish(request, $0, range) }
    }
    reads.ask(name, .history(range)) { [endpoint] bytes in
      guard let bytes else { return endpoint.refuse(request, .notFound, "no such node, or it does not answer") }
      finish(request, ClusterReads.Answers(answered: [(name, bytes)]), range)
    }
  }

  private func finish(_ request: Request, _ answers: ClusterReads.Answers, _ range: ClosedRange<UInt64>) {
    var (answers, sum) = (answers, HistorySum())
    answers.keep { bytes in
      guard let samples = HistorySample.decode(bytes) else { return false }
      sum.add(samples, in: range)
      return true
    }
    finish(request, answers, sum)
  }

  private func finish(_ request: Request, _ answers: ClusterReads.Answers, _ sum: HistorySum) {
    let own = endpoint.node
    endpoint.finish(request, .success(sum)) { sum, writer in
      sum.write(to: &writer)
      answers.write(to: &writer)
      guard let own else { return }
      writer.key("answering")
      writer.beginObject()
      writer.key("id")
      writer.string(own.id)
      writer.raw(Array(own.report().dropFirst().dropLast()))
      writer.endObject()
    }
  }

  // MARK: Rooms

  /// `GET /admin/top-rooms`.
  func topRooms(_ request: Request) {
    guard let reads else { return refuseAlone(request) }
    let isByMessages: Bool
    switch request.head.query.first("by").map({ String(decoding: $0, as: UTF8.self) }) {
    case nil, "connections": isByMessages = false
    case "messages": isByMessages = true
    default: return endpoint.refuse(request, .badRequest, "by must be connections or messages")
    }
    let most = RoomTraffic.roomsMax
    guard let limit = endpoint.limit(request, default: most / 2, max: most) else { return }
    reads.askAll(.topRooms) { [endpoint] answers in
      var answers = answers
      var byName: [[UInt8]: RoomLoad] = [:]
      answers.keep { bytes in
        guard let rooms = RoomLoad.decode(bytes) else { return false }
        for room in rooms { byName[room.name] = byName[room.name].map { $0.joined(with: room) } ?? room }
        return true
      }
      var top = TopList(max: limit)
      for room in byName.values {
        let value = isByMessages ? room.messagesInTenSeconds ?? 0 : UInt64(room.connectionCount)
        if value > 0 { top.add(room, value) }
      }
      endpoint.finish(request, .success(top.rooms)) { rooms, writer in
        writer.key("rooms")
        writer.beginArray()
        for room in rooms { room.write(to: &writer) }
        writer.endArray()
        answers.write(to: &writer)
      }
    }
  }

  // MARK: A connection

  /// `GET /admin/connections/{id}`, once presence has named the node: with what that node knows, if it answers.
  func connection(_ request: Request, _ member: Member) {
    guard let reads else { return finish(request, member, nil) }
    reads.ask(member.node, .connection(member.name)) { finish(request, member, $0) }
  }

  private func finish(_ request: Request, _ member: Member, _ state: [UInt8]?) {
    endpoint.finish(request, .success(member)) { member, writer in
      MemberGroup.writeMembers(of: member, withUser: true, to: &writer)
      // It comes from another process, and goes on as it is.
      guard let state, (try? JSONScanner.validate(state.span)) != nil, state.first == UInt8(ascii: "{") else { return }
      writer.raw(Array(state.dropFirst().dropLast()))
    }
  }

  /// An endpoint without a node has no cluster to ask.
  private func refuseAlone(_ request: Request) {
    endpoint.refuse(request, .unavailable, "this endpoint belongs to no node")
  }
}

extension ClusterReads.Answers {
  /// Counts the nodes among the missing whose answers cannot be read: they run another version.
  mutating func keep(where isRead: ([UInt8]) -> Bool) {
    let all = answered
    answered = []
    for answer in all {
      if isRead(answer.bytes) { answered.append(answer) } else { missing.append(answer.node) }
    }
  }

  /// Writes which nodes an answer is of.
  func write(to writer: inout JSONWriter) {
    writer.key("nodes")
    writer.beginArray()
    for answer in answered { writer.string(answer.node) }
    writer.endArray()
    writer.key("missing")
    writer.beginArray()
    for node in missing { writer.string(node) }
    writer.endArray()
    guard isAlone else { return }
    writer.key("incomplete")
    writer.bool(true)
  }
}

extension RoomLoad {
  /// The room with what two nodes know of it: each has other connections, and all have the same messages.
  func joined(with other: RoomLoad) -> RoomLoad {
    let rates = [messagesInTenSeconds, other.messagesInTenSeconds].compactMap(\.self)
    return RoomLoad(
      name: name, connectionCount: connectionCount + other.connectionCount, messagesInTenSeconds: rates.max())
  }

  /// Writes it as an object.
  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("room")
    writer.string(name)
    writer.key("connections")
    writer.integer(connectionCount)
    writer.key("rate")
    if let messagesInTenSeconds { writer.double(Double(messagesInTenSeconds) / 10) } else { writer.null() }
    writer.endObject()
  }
}
