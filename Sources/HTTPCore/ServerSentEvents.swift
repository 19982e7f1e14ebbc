/// Encodes an event stream (WHATWG HTML section 9.2).
public enum ServerSentEvents {
  /// The stream's media type.
  public static let contentType: StaticString = "text/event-stream"

  /// Writes one event.
  ///
  /// Line ends of any kind in `data` split it into `data:` lines, which the browser joins with LF again. `id` becomes the
  /// browser's Last-Event-ID; NUL and line ends, which an id cannot hold, are left out of it. Without `event` the type is
  /// `message`.
  public static func appendEvent(
    id: [UInt8]? = nil, event: StaticString? = nil, data: Span<UInt8>, to out: inout [UInt8]
  ) {
    if let id {
      out.append(literal: "id: ")
      for byte in id where byte != 0 && byte != ASCII.cr && byte != ASCII.lf { out.append(byte) }
      out.append(ASCII.lf)
    }
    if let event {
      out.append(literal: "event: ")
      out.append(literal: event)
      out.append(ASCII.lf)
    }
    appendLines("data: ", data, &out)
    out.append(ASCII.lf)
  }

  /// Writes a comment, which browsers ignore and which keeps proxies from closing a quiet stream.
  public static func appendComment(_ text: StaticString = "", to out: inout [UInt8]) {
    text.withUTF8Buffer { appendLines(": ", $0.span, &out) }
    out.append(ASCII.lf)
  }

  private static func appendLines(_ prefix: StaticString, _ text: Span<UInt8>, _ out: inout [UInt8]) {
    var start = 0
    var index = 0
    while true {
      if index == text.count || text[index] == ASCII.cr || text[index] == ASCII.lf {
        out.append(literal: prefix)
        out.append(copying: text.extracting(start..<index))
        out.append(ASCII.lf)
        if index == text.count { return }
        if text[index] == ASCII.cr && index + 1 < text.count && text[index + 1] == ASCII.lf { index += 1 }
        start = index + 1
      }
      index += 1
    }
  }
}
