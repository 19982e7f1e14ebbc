import AddressCore
import ClientProtocol
import JSONCore

/// Who asks for an operation: in whose name, with what rights, and where the answer goes.
enum Caller {
  /// A connection that stays open: its session knows the rest.
  case session(SlabID)
  /// A request that brings one operation and takes one answer.
  case request(RequestCaller)
  /// A backend or an operator, by way of the admin endpoint: it may do everything.
  case backend((Result<Position, BrokerError>) -> Void)
}

/// The client of one operation without a connection that stays open: `POST /send`.
public final class RequestCaller {
  /// The user's name.
  let user: [UInt8]
  /// What its token says, or nil: without authentication.
  let identity: Identity?
  /// The client's numeric address.
  let address: [UInt8]
  /// Whether the address is loopback or private, which limits that were not set spare.
  let isLocal: Bool
  /// The trace that the request is part of; nil: none.
  let trace: TraceContext?
  private var reply: ((_ text: [UInt8], ErrorCode?) -> Void)?

  /// - Parameter reply: takes the answer, one JSON object, and the code when it is an error. Called once.
  public init(
    user: [UInt8], identity: Identity?, address: [UInt8], trace: TraceContext? = nil,
    reply: @escaping (_ text: [UInt8], ErrorCode?) -> Void
  ) {
    self.user = user
    self.identity = identity
    self.address = address
    self.trace = trace
    isLocal = IPAddress(text: address.span)?.isLocal ?? false
    self.reply = reply
  }

  /// Sends the answer. Of several the first counts. Returns its bytes.
  @discardableResult
  func answer(_ event: ServerEvent, id: [UInt8]?) -> Int {
    guard let reply else { return 0 }
    self.reply = nil
    var text: [UInt8] = []
    event.appendJSON(id: id, to: &text)
    var code: ErrorCode?
    if case .error(let error, _) = event { code = error }
    reply(text, code)
    return text.count
  }
}
