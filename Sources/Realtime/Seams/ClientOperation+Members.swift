import ClientProtocol
import JSONCore

extension ClientOperation.Kind {
  /// Whether an operation waits while an earlier one of its connection is decided on. What changes nothing in a room and
  /// reads nothing of it need not.
  var keepsOrder: Bool {
    switch self {
    case .message, .join, .leave, .direct, .broadcast, .presence, .state, .history: true
    case .auth, .request, .ping: false
    }
  }
}

extension ClientOperation {
  /// What the answer is to carry: a tag, or a copy of the `id`, with its quotes, or nil.
  func answerID(in text: Span<UInt8>) -> [UInt8]? { answerTag ?? id.map { [UInt8](copying: text.extracting($0)) } }

  /// Calls `body` with the room's name, without a copy, unless it was spelled with escapes.
  func withRoom(in text: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
    guard let room else { return }
    guard room.hasEscapes else { return body(text.extracting(room.contents)) }
    if let decoded = room.decoded(in: text) { body(decoded.span) }
  }
}
