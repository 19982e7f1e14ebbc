import JSONCore

/// Writes a page of history as its readers receive it.
public enum HistoryText {
  /// Appends `epoch`, `offset` and `messages` to an object that is open, and `more` when the room has later messages than
  /// these: those that are left out beyond `bytesMax` bytes, for example. One message fits always. A binary message has its payload as `binary`,
  /// in base64: JSON can carry it no other way.
  public static func write(
    _ page: HistoryPage, of room: [UInt8], bytesMax: Int = Limits.historyAnswerBytesMax, to writer: inout JSONWriter
  ) {
    var epoch: [UInt8] = []
    page.position.epoch.append(to: &epoch)
    writer.key("epoch")
    writer.string(epoch)
    writer.key("offset")
    writer.unsigned(page.position.offset)
    writer.key("messages")
    writer.beginArray()
    let room = Room(name: room)
    var hasMore = page.hasMore
    var bytes = 0
    for entry in page.entries {
      guard let envelope = Envelope(entry.envelope.span) else { continue }
      var text: [UInt8] = []
      Push.text(envelope, in: entry.envelope.span, offset: entry.offset, room: room, to: &text)
      if bytes > 0, bytes + text.count > bytesMax {
        hasMore = true
        break
      }
      bytes += text.count
      writer.raw(text)
    }
    writer.endArray()
    guard hasMore else { return }
    writer.key("more")
    writer.bool(true)
  }
}
