import ClientProtocol
import JSONCore
import RoostJSON

/// A client of a Roost cluster: one connection that opens when it is first used, reconnects by itself to any node, joins its
/// rooms again where it left them, and sends again what was never acknowledged.
///
/// It may be used from any task. What a call needs of a connection waits until there is one.
public actor Roost {
  /// What a program may choose.
  public typealias Options = ClientOptions

  /// What the client was made with.
  public nonisolated let options: Options
  /// Where the client stands. Before the first use it is closed.
  public internal(set) var state = ClientState.closed(code: 1000, reason: "not used yet")
  /// What the server said about the connection that was opened last.
  public internal(set) var welcome: Welcome?

  nonisolated let transport: any ClientTransport
  var calls = CallTable()
  var rooms: [String: RoomEntry] = [:]
  var wildcardCount = 0
  var eventReaders = Readers<Event> { $0.byteCount }
  // The connection.
  var link: (any Link)?
  /// Tells a connection and its timers from those before it.
  var generation: UInt64 = 0
  var choice: TransportChoice
  var backoff = Backoff()
  var random = SystemRandomNumberGenerator()
  var token: String?
  var isFresh = true
  var hasHeard = false
  var openedAt: ContinuousClock.Instant?

  /// Makes a client of a server; nothing happens until it is used.
  ///
  /// - Parameter url: `https://`, `wss://`, `http://` or `ws://` with a host, and perhaps a port and a path before Roost's own.
  public init(_ url: String, options: Options = Options()) throws {
    self.init(transport: try SystemTransport(url), options: options)
  }

  init(transport: any ClientTransport, options: Options) {
    self.transport = transport
    self.options = options
    choice = TransportChoice(options.transports)
  }

  deinit { link?.close() }

  // MARK: Connection

  /// Opens the connection now: earlier than the first use would, at once when it waits to try again, and anew after it was
  /// closed.
  public func connect() {
    isFresh = false
    if link == nil, state != .connecting { open() }
  }

  /// Closes the connection for good and forgets its rooms; calls that wait throw ``ClientError/Code/closed``, and sequences
  /// end. ``connect()`` may be called again.
  public func close() {
    isFresh = false
    drop()
    finish(code: 1000, reason: "closed by the program")
  }

  /// Calls that wait for a connection or for an answer.
  public var waitingCallCount: Int { calls.count }

  /// Everything that happens to this client from now on.
  public func events() -> Feed<Event> {
    use()
    return eventReaders.add(options) { [weak self] id in Task { await self?.removeEventReader(id) } }
  }

  private func removeEventReader(_ id: UInt64) { eventReaders.remove(id) }

  // MARK: Rooms

  /// A room by its name; nothing is joined yet. A name that ends in `*` is a wildcard: every room that begins as it does.
  public nonisolated func room(_ name: String) -> Room { Room(name: name, roost: self) }

  // MARK: Outside of rooms

  /// Sends to every connection of a user. Returns how many those were. Not sent again after a lost connection.
  @discardableResult
  public func send(_ data: JSON, to user: String) async throws -> Int {
    let members = try data.publishedMembers()
    let reply = try await call(.direct, room: nil, resends: false) { writer in
      // Behind the data's members, one of which may have this name: the last one counts.
      writer.raw(members)
      writer.key("to")
      writer.string(user)
    }
    return (try? JSONValue.parse(reply.text.span))?["delivered"]?.asInt ?? 0
  }

  /// Sends to every connection in the cluster, if permitted. Not sent again after a lost connection.
  public func broadcast(_ data: JSON) async throws {
    let members = try data.publishedMembers()
    _ = try await call(.broadcast, room: nil, resends: false) { $0.raw(members) }
  }

  /// Calls an action on the server and returns its payload. Not sent again after a lost connection.
  public func request(_ action: String, _ payload: JSON? = nil) async throws -> JSON {
    try payload?.check()
    let reply = try await call(.request, room: nil, resends: false) { writer in
      writer.key("action")
      writer.string(action)
      guard let payload else { return }
      writer.key("payload")
      writer.raw(payload.bytes)
    }
    let response = try? JSONValue.parse(reply.text.span)
    guard response?["ok"]?.asBool == true else {
      let error = response?["error"]
      throw ClientError(
        ClientError.Code(rawValue: error?["code"]?.asString ?? "failed"),
        error?["message"]?.asString ?? "the server refused the request")
    }
    return response?["payload"]?.json ?? "null"
  }

  /// Replaces the token, before it expires, without a new connection. Only where ``Options/token`` is not set, which is asked
  /// by itself.
  public func authenticate(_ token: String) async throws {
    self.token = token
    _ = try await call(.auth, room: nil, resends: false) { writer in
      writer.key("token")
      writer.string(token)
    }
  }
}
