import JSONCore

/// What one pass over an operation's text finds, before anything is known about its meaning.
///
/// A repeated member counts as its last occurrence, as in every JavaScript receiver.
struct OperationScan {
  var type: JSONMember?
  var room: JSONMember?
  var id: JSONMember?
  var echo: JSONMember?
  var ephemeral: JSONMember?
  var to: JSONMember?
  var token: JSONMember?
  var since: JSONMember?
  var limit: JSONMember?
  var after: JSONMember?
  var action: JSONMember?
  var state: JSONMember?
  var payload: JSONMember?
  var traceparent: JSONMember?
  var passThrough = PassThrough()

  /// Reads the whole text; `to` is passed on only when asked, because the operation's type decides and may come last.
  init(_ text: Span<UInt8>, passesTo: Bool) throws(JSONError) {
    var scanner = JSONScanner(text)
    var isAdjacent = false
    while let member = try scanner.nextMember() {
      let name = OperationMember(member.key, in: text)
      switch name {
      case .type: type = member
      case .room: room = member
      case .id: id = member
      case .echo: echo = member
      case .ephemeral: ephemeral = member
      case .to: to = member
      case .token: token = member
      case .since: since = member
      case .limit: limit = member
      case .after: after = member
      case .action: action = member
      case .state: state = member
      case .payload: payload = member
      case .traceparent: traceparent = member
      case .user, .offset, .ts, .other: break
      }
      if name.isReserved || (name == .to && !passesTo) {
        isAdjacent = false
      } else {
        passThrough.add(member.range, isAdjacent: isAdjacent)
        isAdjacent = true
      }
    }
  }
}
