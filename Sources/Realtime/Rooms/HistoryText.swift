import ClientProtocol
import JSONCore

/// A page of history as its readers receive it: `epoch`, `offset`, `messages`, and `more` when the room has later messages
/// than these: those that are left out beyond `bytesMax` bytes, for example. One message always fits. A binary message has
/// its payload as `binary`, in base64: JSON can carry it no other way.
public struct HistoryText: EventBody {
  private let page: HistoryPage
  private let room: [UInt8]
  private let bytesMax: Int

  public init(_ page: HistoryPage, of room: [UInt8], bytesMax: Int = Limits.historyAnswerBytesMax) {
    self.page = page
    self.room = room
    self.bytesMax = bytesMax
  }

  public func write(to writer: inout JSONWriter) {
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
      MessageEncoder.text(envelope, in: entry.envelope.span, offset: entry.offset, room: room, to: &text)
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
