import HTTPCore
import Testing

@Suite("Bodies that are used as they come")
struct StreamedBodyTests {
  @Test("come in parts however they are cut, and what was taken does not count", arguments: [1, 3, 7, 1000])
  func parts(_ size: Int) {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    let text = Array((head + "5\r\nhello\r\n6\r\n world\r\n6\r\n again\r\n0\r\n\r\n").utf8)
    // A bound below the whole body, and above each part.
    var parser = ResponseParser(bodyBytesMax: size == 1000 ? 100 : 12)
    var (body, isDone): ([UInt8], Bool) = ([], false)
    for start in stride(from: 0, to: text.count, by: size) {
      let piece = Array(text[start..<min(text.count, start + size)])
      var cursor = 0
      switch parser.next(in: piece.span, from: &cursor) {
      case .needMore:
        if start >= head.utf8.count { #expect(parser.receivedStatus == 200) }
        body += parser.takeBody()
      case .response(let received):
        body += received.body
        isDone = true
        #expect(received.status == 200)
      case .failed(let reason): Issue.record("\(reason)")
      }
    }
    #expect(isDone && String(decoding: body, as: UTF8.self) == "hello world again")
  }

  @Test("have a bound for what nobody takes")
  func bound() {
    var parser = ResponseParser(bodyBytesMax: 12)
    let text = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8\r\n world!!\r\n".utf8)
    var cursor = 0
    guard case .failed = parser.next(in: text.span, from: &cursor) else {
      Issue.record("13 bytes were kept")
      return
    }
  }
}
