import ClientProtocol
import HTTPCore
import JSONCore
import LoopCore
import Realtime
import Settings
import TimeCore

/// `POST /hooks/NAME`: takes the signed events of other services and publishes each once. Confined to the loop that created
/// it.
///
/// A wrong signature locks nobody out: a service's deliveries come from addresses that it shares with all its customers, each
/// of whom could lock out the others. So a wrong delivery costs its transfer, which `max-message` limits, and one HMAC for
/// each secret.
final class IncomingHookEndpoint {
  private struct Hook {
    let name: [UInt8]
    let room: [UInt8]
    let verifier: HookVerifier
  }

  /// Time between two lines in the log about refused deliveries.
  private static let reportInterval = Interval.seconds(60)
  /// When a sender shall try again that came while Redis was out of reach.
  private static let retrySeconds: StaticString = "5"

  private let hub: Hub
  private let hooks: [Hook]
  private let messageBytesMax: Int
  private let metrics: Metrics
  private let log: Log
  private let now: () -> Instant
  private let respond: (SlabID, Response) -> Void
  /// When refusals were logged last, by hook and code: as many as there are hooks, a few times.
  private var reportedAt: [[UInt8]: Instant] = [:]

  init(
    _ settings: ServerSettings, hub: Hub, metrics: Metrics, log: Log, now: @escaping () -> Instant,
    respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.metrics = metrics
    self.log = log
    self.now = now
    self.respond = respond
    messageBytesMax = settings.maxMessageBytes
    hooks = settings.hooks.compactMap { hook in
      guard let scheme = hook.scheme else { return nil }
      return Hook(
        name: Array(hook.name.utf8), room: Array(hook.room.utf8),
        verifier: HookVerifier(scheme, secrets: hook.secrets.map { Array($0.utf8) }))
    }
  }

  /// The largest body in bytes; a little more than a message may have, so that one which is just too large is answered with
  /// what is allowed. 0 without hooks.
  var bodyBytesMax: Int { hooks.isEmpty ? 0 : messageBytesMax + 1024 }

  private func find(_ name: ArraySlice<UInt8>) -> Hook? { hooks.first { $0.name.elementsEqual(name) } }

  /// The answer to a body that is larger than `bodyBytesMax`, which nobody reads.
  ///
  /// - Parameter size: how large it is, for people.
  func bodyRefusal(_ head: RequestHead, name: ArraySlice<UInt8>, size: String) -> Response {
    let error = tooLarge(size)
    if head.method == .post, let hook = find(name) { note(error, hook) }
    return ErrorResponse.make(error.code, error.message)
  }

  /// Answers a request for the hook of that name.
  func answer(_ request: Request, name: ArraySlice<UInt8>) {
    guard let hook = find(name) else {
      return refuse(request, ProtocolError(.notFound, "no such hook: the settings file's hooks names them"))
    }
    guard request.head.method == .post else {
      return respond(request.connection, ErrorResponse.methodNotAllowed("POST"))
    }
    do throws(ProtocolError) {
      try checkSignature(of: request, hook)
      // Programs such as curl call JSON a form, too.
      guard !request.head.hasFormBody || request.body.first == UInt8(ascii: "{") else {
        throw ProtocolError(
          .badRequest, "the body is a form: choose the content type application/json where the hook is set up")
      }
      let delivery = try HookDelivery(
        hook: hook.name, hook.verifier.scheme, event: request.head.copy(.gitHubEvent),
        deliveryID: request.head.copy(.gitHubDelivery), body: request.body)
      guard delivery.data.count <= messageBytesMax else { throw tooLarge("\(delivery.data.count) bytes") }
      hub.hookDelivery(delivery.id, of: hook.name, at: nil) { [weak self] result in
        switch result {
        case .success(nil): self?.publish(delivery, request, hook)
        case .success(let position?): self?.finish(request, hook, .success(position))
        case .failure(let error): self?.finish(request, hook, .failure(error))
        }
      }
    } catch {
      fail(request, hook, error)
    }
  }

  /// Publishes a delivery that was not known, and remembers it before its sender is answered. The key makes it one message
  /// when the same delivery comes twice at a time, or once more because a node has ended in between.
  private func publish(_ delivery: HookDelivery, _ request: Request, _ hook: Hook) {
    do throws(ProtocolError) {
      let key = Array("hook:".utf8) + hook.name + [UInt8(ascii: ":")] + delivery.id
      try hub.publish(
        room: hook.room, data: delivery.data.span, idempotencyKey: key, trace: request.head.trace
      ) { [weak self] result in
        guard let self else { return }
        guard case .success(let position) = result else { return finish(request, hook, result) }
        // It is published, whether that can be remembered or not.
        hub.hookDelivery(delivery.id, of: hook.name, at: position) { [weak self] _ in
          self?.finish(request, hook, .success(position))
        }
      }
    } catch {
      fail(request, hook, error)
    }
  }

  private func fail(_ request: Request, _ hook: Hook, _ error: ProtocolError) {
    note(error, hook, request: request.id)
    refuse(request, error)
  }

  private func tooLarge(_ size: String) -> ProtocolError {
    ProtocolError(.tooLarge, "the event has \(size); --max-message allows \(messageBytesMax)")
  }

  private func checkSignature(of request: Request, _ hook: Hook) throws(ProtocolError) {
    guard request.body.count <= messageBytesMax else { throw tooLarge("\(request.body.count) bytes") }
    let (header, headerName): ([UInt8]?, StaticString) =
      switch hook.verifier.scheme {
      case .github: (request.head.copy(.hubSignature), "X-Hub-Signature-256")
      case .stripe: (request.head.copy(.stripeSignature), "Stripe-Signature")
      case .roost: (request.head.copy(.roostSignature), "Roost-Signature")
      }
    let seconds = Clock.wallMilliseconds() / 1000
    guard let failure = hook.verifier.check(header, of: request.body, now: seconds) else { return }
    let reason =
      switch failure {
      case .missing: "the header \(headerName) is missing"
      case .malformed: "the header \(headerName) is not of the scheme \(hook.verifier.scheme.rawValue)"
      case .stale:
        "the time stamp in \(headerName) differs from this node's clock by more than \(HookVerifier.toleranceSeconds) s"
      case .wrong: "the signature in \(headerName) is not by a secret of this hook"
      }
    throw ProtocolError(.unauthenticated, reason)
  }

  /// Counts a refusal. What is wrong with deliveries the sender's operator reads only: this one's log has it once a minute
  /// for each hook and code, and nothing of the delivery.
  private func note(_ error: ProtocolError, _ hook: Hook, request: [UInt8] = []) {
    metrics.hooksRefused += 1
    let key = hook.name + [UInt8(ascii: "/")] + Array(error.code.rawValue.utf8)
    if let last = reportedAt[key], now() < last + IncomingHookEndpoint.reportInterval { return }
    reportedAt[key] = now()
    log.warn(
      "refused the delivery of a hook", ("hook", Log.text(hook.name)), ("reason", error.message),
      ("request", Log.text(request)))
  }

  private func finish(_ request: Request, _ hook: Hook, _ result: Result<Position, BrokerError>) {
    switch result {
    case .success(let position):
      metrics.hooksPublished += 1
      var epoch: [UInt8] = []
      position.epoch.append(to: &epoch)
      var writer = JSONWriter()
      writer.beginObject()
      writer.key("room")
      writer.string(hook.room)
      writer.key("epoch")
      writer.string(epoch)
      writer.key("offset")
      writer.unsigned(position.offset)
      writer.endObject()
      var response = Response.json(writer.finish())
      response.forbidStoring()
      respond(request.connection, response)
    case .failure(let error):
      fail(request, hook, error.answer(broker: hub.brokerRefusal))
    }
  }

  private func refuse(_ request: Request, _ error: ProtocolError) {
    var response = ErrorResponse.make(error.code, error.message)
    if error.code == .unavailable { response.addHeader("Retry-After", IncomingHookEndpoint.retrySeconds) }
    respond(request.connection, response)
  }
}
