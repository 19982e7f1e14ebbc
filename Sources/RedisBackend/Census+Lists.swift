// What a census writes: rooms and connections that a node's lists lack.

extension Census {
  /// Where a member was read.
  struct Entry {
    let hash: [UInt8]
    let name: [UInt8]
  }

  func list(_ room: [UInt8], of node: [UInt8], after member: Entry, _ done: @escaping (Bool) -> Void) {
    let takeBack = { [weak self] (done: @escaping (Bool) -> Void) in
      guard let self else { return }
      road.request({ done($0?.kind == .integer) }) { [keys] writer in
        writer.command(parts: 3)
        writer.bulk("ZREM")
        writer.bulk(keys.node, node, "}:rooms")
        writer.bulk(room)
      }
    }
    road.request({ [weak self] in self?.noted(node, $0, member, takeBack, done) }) { [keys] writer in
      writer.command(parts: 4)
      writer.bulk("ZADD")
      writer.bulk(keys.node, node, "}:rooms")
      writer.bulk(0)
      writer.bulk(room)
    }
  }

  func register(_ value: [UInt8], of node: [UInt8], after member: Entry, _ done: @escaping (Bool) -> Void) {
    let takeBack = { [weak self] (done: @escaping (Bool) -> Void) in
      guard let self else { return }
      road.request({ done($0?.kind == .integer) }) { [keys] writer in
        writer.command(parts: 3)
        writer.bulk("HDEL")
        writer.bulk(keys.node, node, "}:connections")
        writer.bulk(member.name)
      }
    }
    road.request({ [weak self] in self?.noted(node, $0, member, takeBack, done) }) { [keys] writer in
      writer.command(parts: 4)
      writer.bulk("HSETNX")
      writer.bulk(keys.node, node, "}:connections")
      writer.bulk(member.name)
      writer.bulk(value)
    }
  }

  /// Takes the number of entries that a list lacked. Of a node that lives, the member may have left between the reading
  /// and the writing: then the entry goes again.
  private func noted(
    _ node: [UInt8], _ reply: Reply?, _ member: Entry, _ takeBack: @escaping (@escaping (Bool) -> Void) -> Void,
    _ done: @escaping (Bool) -> Void
  ) {
    accept(reply, done) { reply in
      guard reply.integer > 0, living.contains(node) else { return done(true) }
      let looked: PendingReplies.Handler = { [weak self] reply in
        self?.accept(reply, done) { found in
          guard found.integer == 1 else { return takeBack(done) }
          self?.unlisted.insert(node)
          done(true)
        }
      }
      road.request(looked) { writer in
        writer.command(parts: 3)
        writer.bulk("HEXISTS")
        writer.bulk(member.hash)
        writer.bulk(member.name)
      }
    }
  }
}
