import HTTPCore
import LoopCore

extension ConnectionTable {
  /// Takes a TLS handshake one step further, until requests can be read.
  func advanceHandshake(_ index: UInt32) {
    guard let tls = connections[index].tls else { return drop(index) }
    if !connections[index].isSniffed {
      guard let first = Socket.peek(connections[index].socket) else { return drop(index) }
      connections[index].isSniffed = true
      if ConnectionTable.beginsRequest(first) { return readPlainRequest(index) }
    }
    let progress = tls.handshake()
    switch progress {
    case .done:
      connections[index].wantsWrite = false
      updateInterest(index)
      enter(.request, index)
      // The first request may have come with the last message of the handshake.
      read(index)
    case .wantsRead, .wantsWrite:
      connections[index].wantsWrite = progress == .wantsWrite
      updateInterest(index)
    case .failed: drop(index)
    }
  }

  /// A TLS connection begins with a handshake record, 22 (RFC 8446 section 5.1); a request with a letter.
  private static func beginsRequest(_ first: UInt8) -> Bool { first >= UInt8(ascii: "A") && first <= UInt8(ascii: "Z") }

  /// Somebody spoke HTTP to the TLS port: the request is read, and answered by where to go.
  private func readPlainRequest(_ index: UInt32) {
    connections[index].tls = nil
    connections[index].entrance = .redirect
    enter(.request, index)
    read(index)
  }
}
