/// The commands that read what Redis knows of a node or of a room, page by page.
extension CommandWriter {
  /// ZRANGEBYLEX: the first `limit` rooms of a range in the node's list.
  mutating func rooms(of node: [UInt8], in range: RoomRange, limit: Int, _ keys: RedisKeys) {
    command(parts: 7)
    bulk("ZRANGEBYLEX")
    bulk(keys.node, node, "}:rooms")
    bulk(range.lower)
    bulk(range.upper)
    bulk("LIMIT")
    bulk(0)
    bulk(limit)
  }

  /// HSCAN: some connections of the node, from a cursor; the first is `0`.
  mutating func connections(of node: [UInt8], from cursor: [UInt8], _ keys: RedisKeys) {
    command(parts: 5)
    bulk("HSCAN")
    bulk(keys.node, node, "}:connections")
    bulk(cursor)
    bulk("COUNT")
    bulk(RedisLimits.sweepChunk)
  }

  /// HSCAN: some members of a room, from a cursor; the first is `0`.
  mutating func members(of room: [UInt8], from cursor: [UInt8], _ keys: RedisKeys) {
    command(parts: 5)
    bulk("HSCAN")
    bulk(keys.room, room, "}:members")
    bulk(cursor)
    bulk("COUNT")
    bulk(RedisLimits.scanChunk)
  }
}
