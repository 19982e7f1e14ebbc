import JSONCore
import LoopCore
import Realtime

// What a node tells operators about itself.

extension Node {
  /// Answers a read of the admin endpoint, of this node or of another, from memory.
  func answer(_ question: NodeQuestion) -> [UInt8] {
    switch question {
    case .history(let range): HistorySample.encode(sampler.history.samples(in: range))
    case .topRooms: RoomLoad.encode(traffic.top(at: loop.instant))
    case .connection(let name):
      HubInspector(hub).session(named: name).map { ConnectionReport($0).json } ?? Array("{}".utf8)
    }
  }

  /// The node's line in `/admin/nodes`, which it renews its lease with.
  func report() -> [UInt8] { NodeReport(self).json }
}

/// What a node tells all operators about itself: a JSON object of some 400 bytes.
struct NodeReport {
  private let node: Node

  init(_ node: Node) { self.node = node }

  var json: [UInt8] {
    var writer = JSONWriter(capacity: 512)
    writer.beginObject()
    // Others read it later: rates need to know when.
    writer.key("time")
    writer.unsigned(Clock.wallMilliseconds())
    writer.key("version")
    writer.string(Node.version)
    writer.key("state")
    writer.string(state)
    writer.key("uptime")
    writer.unsigned(node.uptimeSeconds)
    writer.key("connections")
    writer.integer(node.table.sessionCount)
    writer.key("rooms")
    writer.integer(node.hub.counters.rooms)
    writer.key("messagesIn")
    writer.unsigned(node.hub.counters.messagesReceived)
    writer.key("messagesOut")
    writer.unsigned(node.metrics.messagesDelivered)
    writer.key("memory")
    writer.unsigned(ProcessFacts.residentBytes())
    if let percent = node.sampler.processorPercent {
      writer.key("processor")
      writer.unsigned(percent)
    }
    if let age = node.redis?.silenceMilliseconds {
      writer.key("redisAge")
      writer.integer(age)
    }
    writer.key("auth")
    writer.string(node.settings.authentication.rawValue)
    writeWebhook(to: &writer)
    writer.endObject()
    return writer.finish()
  }

  /// The first report goes with the claim of the lease, before the node is ready.
  private var state: StaticString {
    if node.isDraining { return "draining" }
    if node.isReady { return "ready" }
    return node.sampler.wasReady ? "waiting for Redis" : "starting"
  }

  private func writeWebhook(to writer: inout JSONWriter) {
    guard let counters = node.webhooks?.counters else { return }
    writer.key("webhook")
    writer.beginObject()
    writer.key("waiting")
    writer.integer(counters.waiting)
    writer.key("lag")
    writer.integer(counters.ageMilliseconds)
    writer.key("delivered")
    writer.unsigned(counters.delivered)
    writer.key("failed")
    writer.unsigned(counters.failed)
    writer.key("dropped")
    writer.unsigned(counters.dropped)
    writer.key("paused")
    writer.bool(node.backend.map { $0.questions.isPaused || $0.requests.isPaused } ?? false)
    writer.endObject()
  }
}

/// What a node tells about a connection that it holds, besides what presence has. Pure.
struct ConnectionReport {
  private let state: HubInspector.SessionState

  init(_ state: HubInspector.SessionState) { self.state = state }

  /// A JSON object.
  var json: [UInt8] {
    var writer = JSONWriter(capacity: 512)
    writer.beginObject()
    writer.key("queue")
    writer.integer(state.queuedBytes)
    writer.key("roomCount")
    writer.integer(state.roomCount)
    writer.key("rooms")
    writer.beginArray()
    for room in state.rooms {
      writer.beginObject()
      writer.key("room")
      writer.string(room.name)
      writer.key("since")
      writer.unsigned(room.since)
      writer.endObject()
    }
    writer.endArray()
    writer.key("wildcards")
    writer.beginArray()
    for name in state.wildcards { writer.string(name) }
    writer.endArray()
    writeToken(to: &writer)
    writer.endObject()
    return writer.finish()
  }

  /// What is known of its token: times and its name, never the token itself.
  private func writeToken(to writer: inout JSONWriter) {
    guard let identity = state.identity else { return }
    writer.key("token")
    writer.beginObject()
    if let id = identity.tokenID {
      writer.key("id")
      writer.string(id)
    }
    if let moment = identity.issuedAt {
      writer.key("issued")
      writer.unsigned(moment)
    }
    if let moment = identity.expiresAt {
      writer.key("expires")
      writer.unsigned(moment)
    }
    writer.key("broadcast")
    writer.bool(identity.mayBroadcast)
    writer.endObject()
  }
}
