import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import Settings
import TimeCore
import Webhooks

// The backend that is asked: decisions and requests.

extension Node {
  /// Connects the hub with the backend at `webhook-url`: it answers the actions that nothing here does, and decides what it
  /// is asked to. Nil: there is none.
  func makeBackend() -> Backend? {
    guard let questions = makeCalls("questions"), let requests = makeCalls("requests") else { return nil }
    let defaultRooms = settings.authentication == .webhook ? NodeSetup.defaultRooms(settings.jwtDefaultRooms) : nil
    let backend = Backend(
      questions: questions, requests: requests, defaultRooms: defaultRooms, clock: Clock.wallMilliseconds)
    backend.tooManyQuestions = { [metrics] in metrics.refusals.add(.questions) }
    if settings.webhooks.events.contains(.request) { hub.actions.otherwise = backend.answer }
    var deciders = Deciders()
    if settings.webhooks.decisions.contains(.join) { deciders.join = { backend.decide($0, $1) } }
    if settings.webhooks.decisions.contains(.message) { deciders.message = { backend.decide($0, $1) } }
    if settings.asksAboutConnects { deciders.connect = { backend.decide($0, $1) } }
    hub.deciders = deciders
    return backend
  }

  private func makeCalls(_ kind: String) -> BackendCalls? {
    guard let client = NodeSetup.makeWebhookClient(settings.webhooks, loop, hub.tracer) else { return nil }
    return BackendCalls(
      timeout: .milliseconds(settings.webhooks.timeoutMilliseconds),
      post: { client.post($0, within: $2, traces: $1.map { [$0] } ?? [], $3) }, now: { Clock.instant() }
    ) { [log] notice in
      switch notice {
      case .failed(let reason): log.warn("the backend failed to answer", ("kind", kind), ("reason", reason))
      case .opened(let reason):
        log.error(
          "the backend is asked nothing more for now: it has failed too often in a row", ("kind", kind),
          ("reason", reason), ("failures", CircuitBreaker.failuresMax),
          ("milliseconds", CircuitBreaker.pause.milliseconds))
      case .closed: log.info("the backend answers again", ("kind", kind))
      }
    }
  }

  /// The headers of a request that go along with the question who may connect.
  func connectHeaders(_ head: RequestHead) -> [HeaderLine] {
    guard settings.asksAboutConnects else { return [] }
    return settings.webhooks.headers.compactMap { name in
      let name = Array(name.lowercased().utf8)
      return head.headers.combined(named: name).map { HeaderLine(name: name, value: $0) }
    }
  }
}
