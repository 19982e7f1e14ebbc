import AddressCore
import ClientProtocol

/// What a client wants to do, for a decision that takes time.
public struct Question {
  /// What it wants to do.
  public enum Subject {
    /// Joining a room, or reading the history or presence of one that it has not joined. The name of a wildcard ends in a star.
    case join(room: [UInt8])
    /// Publishing in a room. `members` is a JSON object: what receivers would get.
    case message(room: [UInt8], members: [UInt8], isEphemeral: Bool)
    /// Publishing bytes in a room.
    case binary(room: [UInt8], payload: [UInt8])
  }

  public let subject: Subject
  public let client: Principal
  /// Who is held to a share of the decider's time for it; nil: nobody can be told.
  public let owner: ClientOwner?
  /// The trace that the operation is part of; nil: none.
  public let trace: TraceContext?

  init(subject: Subject, client: Principal, owner: ClientOwner?, trace: TraceContext? = nil) {
    self.subject = subject
    self.client = client
    self.owner = owner
    self.trace = trace
  }
}

/// What is decided about an operation.
public enum Decision: Equatable, Sendable {
  /// It is done. `data`: a JSON object whose members take the place of the message's; for a JSON message only, and checked
  /// as ``MessageData`` checks members.
  case allowed(data: [UInt8]? = nil)
  /// It is forbidden; the reason is for the client.
  case refused(reason: String)
  /// Nobody decided: nothing is done. The reason is for the client.
  case unavailable(reason: String)
}

/// A client that wants to connect, for a decision that takes time.
public struct ConnectQuestion {
  /// The connection's name; nil for a request, or for a connection that has none yet.
  public let connection: [UInt8]?
  /// Of the connection; nil for a request that opens none.
  public let transport: Transport?
  /// The client's numeric address.
  public let address: [UInt8]
  /// Who it is by its token, or says it is where names are believed; nil: nobody knows yet.
  public let identity: Identity?
  /// The token it came with, where nobody on this node judges tokens.
  public let token: [UInt8]?
  /// The headers of its request that were chosen for this.
  public let headers: [HeaderLine]

  public init(
    connection: [UInt8]? = nil, transport: Transport?, address: [UInt8], identity: Identity?, token: [UInt8]? = nil,
    headers: [HeaderLine]
  ) {
    self.connection = connection
    self.transport = transport
    self.address = address
    self.identity = identity
    self.token = token
    self.headers = headers
  }

  /// Who is held to a share of the decider's time for it: the address, because nothing is decided yet; nil: nobody can be
  /// told.
  public var owner: ClientOwner? {
    ClientOwner(sharing: nil, address: address, isLocal: IPAddress(text: address.span)?.isLocal ?? false)
  }
}

/// A header of a request: its name in lower case, and its lines joined by commas.
public struct HeaderLine: Equatable, Sendable {
  public let name: [UInt8]
  public let value: [UInt8]

  public init(name: [UInt8], value: [UInt8]) {
    self.name = name
    self.value = value
  }
}

/// What is decided about a client that wants to connect.
public enum ConnectDecision: Equatable, Sendable {
  case allowed(ConnectGrant)
  /// It may not connect; the reason is for the client.
  case refused(reason: String)
  /// Nobody decided; the reason is for the client.
  case unavailable(reason: String)
}

/// Those who decide, in their own time, what clients may do. Each answers once, at once or later, on the loop's thread;
/// later answers are ignored. Nil: that kind is not asked about.
///
/// What a token, a room's rule or an earlier answer forbids is not asked about, nor what a client has joined already, nor
/// what backends and operators do.
public struct Deciders {
  /// Decides about one operation, and answers once.
  public typealias OperationDecider = (Question, @escaping (Decision) -> Void) -> Void

  /// Decides about ``Question/Subject/join(room:)``.
  public var join: OperationDecider?
  /// Decides about messages in rooms.
  public var message: OperationDecider?
  /// Decides who may connect, after its token was judged.
  public var connect: ((ConnectQuestion, @escaping (ConnectDecision) -> Void) -> Void)?

  public init() {}

  /// Whether operations are asked about.
  var asksAboutOperations: Bool { join != nil || message != nil }
}
