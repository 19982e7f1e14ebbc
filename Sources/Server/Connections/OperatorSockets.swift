import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

/// Takes what comes on operators' WebSockets, which have no session: the hub knows nothing of them.
protocol OperatorSockets: AnyObject {
  /// Takes one text.
  func receive(text: Span<UInt8>, on id: SlabID)
  /// Forgets a connection that is gone.
  func ended(_ id: SlabID)
}

extension ConnectionTable {
  /// Who takes what comes on operators' WebSockets; not owned.
  var operators: (any OperatorSockets)? {
    get { parts.webSockets.operators }
    set { parts.webSockets.operators = newValue }
  }

  /// Answers a valid handshake: from here on the connection is an operator's WebSocket. Returns false when its client has too
  /// many connections, which it was answered.
  func upgrade(_ request: Request, _ acceptance: Handshake.Acceptance, operatorMessageBytesMax: Int) -> Bool {
    parts.requests.upgrade(request, acceptance, operatorMessageBytesMax: operatorMessageBytesMax)
  }

  /// Sends a text to an operator. It has asked for it: it does not count against the queue's limit, and an operator who reads
  /// nothing for long is closed.
  func send(_ text: [UInt8], toOperator id: SlabID) {
    guard parts.connections.contains(id), parts.connections[id.index].stage == .admin else { return }
    parts.queues.answer(id.index) { parts.webSockets.appendMessage(.text, text.span, to: id.index) }
  }

  /// Bytes that wait for an operator; nil: the connection is closing or gone.
  func queuedBytes(ofOperator id: SlabID) -> Int? {
    guard parts.connections.contains(id), parts.connections[id.index].stage == .admin else { return nil }
    return parts.connections[id.index].outbox.byteCount
  }

  /// Closes an operator's WebSocket after what it was sent.
  func close(operator id: SlabID, because reason: CloseReason) {
    guard parts.connections.contains(id) else { return }
    parts.sessions.close(id.index, because: reason)
  }
}
