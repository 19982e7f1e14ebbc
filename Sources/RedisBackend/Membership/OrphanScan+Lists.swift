// What a scan writes: rooms and connections that a node's lists lack.

extension OrphanScan {
  func list(_ room: [UInt8], of node: [UInt8], _ done: @escaping (Bool) -> Void) {
    router.request({ [weak self] in self?.noted(node, $0, done) }) { writer in
      writer.command(parts: 4)
      writer.bulk("ZADD")
      writer.bulk(keys.node, node, "}:rooms")
      writer.bulk(0)
      writer.bulk(room)
    }
  }

  func register(_ name: [UInt8], _ value: [UInt8], of node: [UInt8], _ done: @escaping (Bool) -> Void) {
    router.request({ [weak self] in self?.noted(node, $0, done) }) { writer in
      writer.command(parts: 4)
      writer.bulk("HSETNX")
      writer.bulk(keys.node, node, "}:connections")
      writer.bulk(name)
      writer.bulk(value)
    }
  }

  /// Takes the number of entries that a list lacked; nil: whether it was written is unknown. Either way the node is looked at
  /// again: the entries may have been removed between the reading and the writing, or the node swept.
  private func noted(_ node: [UInt8], _ reply: Reply?, _ done: (Bool) -> Void) {
    if reply == nil { unlisted.insert(node) }
    accept(reply, done) { reply in
      if reply.integer > 0 { unlisted.insert(node) }
      done(true)
    }
  }
}
