import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

extension AdminEndpoint {
  func presence(_ request: Request, _ room: [UInt8]) {
    if let problem = RoomName.problem(room.span) { return refuse(request, .badRoom, problem) }
    guard let limit = limit(request, default: Limits.presenceLimitDefault, max: Limits.presenceLimitMax) else { return }
    let cursor = request.head.query.first("cursor")
    hub.readMembers(room: room, after: cursor, limit: limit) { [self] result in
      finish(request, result) { list, writer in
        writer.key("room")
        writer.string(room)
        writer.key("members")
        writer.beginArray()
        let groups = MemberGroup.make(list)
        for group in groups { group.write(to: &writer) }
        writer.endArray()
        writer.key("cursor")
        if list.hasMore, let last = groups.last { writer.string(last.user) } else { writer.null() }
        writer.key("count")
        writer.integer(list.connectionCount)
        writer.key("users")
        writer.integer(list.userCount)
      }
    }
  }

  func rooms(_ request: Request) {
    let query = request.head.query
    let (standard, most) = (AdminEndpoint.roomsPerPageDefault, AdminEndpoint.roomsPerPageMax)
    guard let limit = limit(request, default: standard, max: most) else { return }
    broker.rooms(prefix: query.first("prefix") ?? [], after: query.first("cursor"), limit: limit) { [self] result in
      finish(request, result) { listing, writer in
        writer.key("rooms")
        writer.beginArray()
        for room in listing.rooms {
          writer.beginObject()
          writer.key("room")
          writer.string(room.name)
          writer.key("members")
          writer.integer(room.userCount)
          writer.endObject()
        }
        writer.endArray()
        writer.key("cursor")
        if let next = listing.next { writer.string(next) } else { writer.null() }
        guard !listing.isComplete else { return }
        writer.key("incomplete")
        writer.bool(true)
      }
    }
  }

  func nodes(_ request: Request) {
    broker.nodes { [self] result in
      finish(request, result) { nodes, writer in
        writer.key("nodes")
        writer.beginArray()
        for node in nodes {
          writer.beginObject()
          writer.key("id")
          writer.string(node.id)
          writer.raw(Array(node.report.dropFirst().dropLast()))
          writer.endObject()
        }
        writer.endArray()
        writeExposure(&writer)
      }
    }
  }

  /// How open the node that answers is: its authentication, and what is not fit for the internet.
  private func writeExposure(_ writer: inout JSONWriter) {
    guard let node else { return }
    writer.key("node")
    writer.string(node.id)
    writer.key("auth")
    writer.string(node.settings.authentication.rawValue)
    writer.key("warnings")
    writer.beginArray()
    for warning in node.warnings { writer.string(warning) }
    writer.endArray()
  }

  func connections(_ request: Request, of user: [UInt8]) {
    guard UserName.isValid(user) else { return refuse(request, .badRequest, "a user is \(UserName.rule)") }
    broker.connections(of: user) { [self] result in
      finish(request, result) { members, writer in
        writer.key("user")
        writer.string(user)
        writer.key("connections")
        writer.beginArray()
        for member in members { MemberGroup.write(member, withUser: false, to: &writer) }
        writer.endArray()
        writer.key("count")
        writer.integer(members.count)
      }
    }
  }

  func connection(_ request: Request, named name: [UInt8]) {
    broker.connection(named: name) { [self] result in
      guard case .success(let member?) = result else {
        if case .success = result { return refuse(request, .notFound, "no such connection") }
        return finish(request, result) { _, _ in }
      }
      ClusterAnswers(self).connection(request, member)
    }
  }

  func history(_ request: Request, _ room: [UInt8]) {
    if let problem = RoomName.problem(room.span) { return refuse(request, .badRoom, problem) }
    guard let limit = limit(request, default: Limits.historyLimitDefault, max: Limits.historyReadMax) else { return }
    var query = HistoryQuery.newest(limit: limit)
    var asked: Position?
    if let text = request.head.query.first("since") {
      guard let since = Position(text: text.span) else {
        return refuse(
          request, .badRequest, "since is \(PlainName.of(text)), but must be EPOCH:OFFSET: \(Position.rule)")
      }
      query = .after(since.offset, limit: limit)
      asked = since
    }
    hub.readHistory(room: room, query) { [self] result in
      // As for clients: offsets of another epoch that this one does not continue say nothing.
      if let asked, asked.offset > 0, case .success(let page) = result,
        !asked.isContinued(by: page.position, page.lineage), asked.epoch != page.position.epoch
      {
        hub.readHistory(room: room, .after(0, limit: limit)) { [self] in finishHistory(request, room, $0) }
      } else {
        finishHistory(request, room, result)
      }
    }
  }

  private func finishHistory(_ request: Request, _ room: [UInt8], _ result: Result<HistoryPage, BrokerError>) {
    finish(request, result) { page, writer in
      writer.key("room")
      writer.string(room)
      HistoryText(page, of: room).write(to: &writer)
    }
  }
}

extension AdminEndpoint {
  /// Reads the query's `limit`, or refuses the request and returns nil.
  func limit(_ request: Request, default standard: Int, max most: Int) -> Int? {
    guard let text = request.head.query.first("limit") else { return standard }
    guard let value = JSONNumber.unsigned(text.span), (1...UInt64(most)).contains(value) else {
      refuse(request, .badRequest, "limit must be a number from 1 to \(most)")
      return nil
    }
    return Int(value)
  }
}

/// A user and all its connections in a room.
struct MemberGroup {
  let user: [UInt8]
  private var connections: [Member]
  private let state: [UInt8]?

  /// Groups members that are ascending by user.
  static func make(_ list: MemberList) -> [MemberGroup] {
    var groups: [MemberGroup] = []
    for member in list.members {
      if groups.last?.user == member.user {
        groups[groups.count - 1].connections.append(member)
      } else {
        groups.append(MemberGroup(user: member.user, connections: [member], state: list.states[member.user]))
      }
    }
    return groups
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("user")
    writer.string(user)
    writer.key("connections")
    writer.beginArray()
    // A user whose grace runs has none.
    for connection in connections where !connection.name.isEmpty {
      MemberGroup.write(connection, withUser: false, to: &writer)
    }
    writer.endArray()
    if let info = connections.lazy.compactMap(\.info).first {
      writer.key("info")
      writer.raw(info)
    }
    if let state {
      writer.key("state")
      writer.raw(state)
    }
    writer.endObject()
  }

  static func write(_ member: Member, withUser: Bool, to writer: inout JSONWriter) {
    writer.beginObject()
    writeMembers(of: member, withUser: withUser, to: &writer)
    writer.endObject()
  }

  static func writeMembers(of member: Member, withUser: Bool, to writer: inout JSONWriter) {
    writer.key("id")
    writer.string(member.name)
    if withUser {
      writer.key("user")
      writer.string(member.user)
    }
    writer.key("node")
    writer.string(member.node)
    writer.key("transport")
    writer.string(member.transport.name)
    writer.key("address")
    writer.string(member.address)
    writer.key("since")
    writer.unsigned(member.since)
    if withUser, let info = member.info {
      writer.key("info")
      writer.raw(info)
    }
  }
}
