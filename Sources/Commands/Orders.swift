import ClientCore
import Glibc
import JSONCore
import LoopCore

/// Acts on a running cluster: closes connections, revokes tokens, drains a node.
struct Orders {
  private let client: AdminClient
  private let settings: ClientSettings

  init(_ client: AdminClient, _ settings: ClientSettings) {
    self.client = client
    self.settings = settings
  }

  func disconnect(user: String?) throws(CommandFailure) {
    let (name, value) = try subject(user, settings.connection, flag: "--connection ID", key: "connection")
    let answer = try client.post("disconnect", Self.object([(name, value)]))
    try AdminAnswer.show(answer, settings) {
      "\(value): closed \(PlainText.count($0["disconnected"]?.asInt ?? 0, "connection"))"
    }
  }

  func revoke(user: String?) throws(CommandFailure) {
    let (name, value) = try subject(user, settings.tokenID, flag: "--jti ID", key: "token")
    let seconds = settings.revokeMilliseconds / 1000
    let answer = try client.post("revoke", Self.object([(name, value), ("for", "\(seconds)s")]))
    let duration = PlainText.duration(seconds: UInt64(seconds))
    try AdminAnswer.show(answer, settings) { _ in "\(value): refused for \(duration)" }
  }

  /// Orders the drain, and with `--wait` waits until the node is gone.
  func drain(node: String) throws(CommandFailure) {
    let answer = try client.post("drain", Self.object([("node", node)]))
    try AdminAnswer.show(answer, settings) { _ in "\(node): draining" }
    guard settings.waits else { return }
    var progress = Progress()
    let deadline = Clock.monotonicNanoseconds() + Self.drainNanosecondsMax
    while let connections = try connections(of: node) {
      guard Clock.monotonicNanoseconds() < deadline else {
        throw CommandFailure(
          ExitStatus.unavailable, "\(node) still drains after 10 minutes; roost nodes shows what is left of it")
      }
      progress.note("\(node): \(PlainText.count(connections, "connection")) left")
      usleep(250_000)
    }
    if !settings.json { Output.text("\(node): ended\n") }
  }

  /// The longest that `drain --wait` waits: a drain longer than this is no ordinary restart.
  private static let drainNanosecondsMax: UInt64 = 600_000_000_000

  /// The connections of a node; nil when it is no longer part of the cluster.
  private func connections(of node: String) throws(CommandFailure) -> Int? {
    do throws(CommandFailure) {
      let nodes = try AdminAnswer.list("nodes", in: try client.get("nodes")).entries
      return nodes.first { $0["id"]?.asString == node }.map { $0["connections"]?.asInt ?? 0 }
    } catch {
      // The node that was asked may be the one that has ended.
      guard error.status == ExitStatus.unavailable else { throw error }
      return nil
    }
  }

  private func subject(
    _ user: String?, _ other: String?, flag: String, key: StaticString
  ) throws(CommandFailure) -> (StaticString, String) {
    switch (user, other) {
    case (let user?, nil): return ("user", user)
    case (nil, let other?): return (key, other)
    default: throw CommandFailure(ExitStatus.usage, "expected either a USER or \(flag)")
    }
  }

  private static func object(_ members: [(StaticString, String)]) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    for (key, value) in members {
      writer.key(key)
      writer.string(value)
    }
    writer.endObject()
    return writer.finish()
  }
}
