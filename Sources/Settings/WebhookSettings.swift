/// The events that a webhook receives.
public enum WebhookEventName: String, CaseIterable, Sendable {
  case connected
  case disconnected
  case roomCreated = "room_created"
  case roomEmptied = "room_emptied"
  case userJoined = "user_joined"
  case userLeft = "user_left"
  case message
  /// No event: asks the receiver for the answer to a client's request that nothing in the node answers.
  case request
}

/// The settings of webhooks. Durations are milliseconds.
public struct WebhookSettings: Sendable {
  /// Where events are posted; nil: nowhere.
  public var url: String?
  /// The first signs; not empty where there is a URL.
  public var secrets: [String] = []
  /// What the backend decides.
  public var decisions: [BackendDecision] = []
  /// Names of request headers that go along with the question who may connect.
  public var headers: [String] = []
  /// From the beginning of a post to the end of its answer.
  public var timeoutMilliseconds = 3000
  /// Names of the events that are sent; empty: all.
  public var eventNames: [String] = []
  /// Events in one post.
  public var batchMax = 1
  /// Events that may wait.
  public var queueMax = 10_000
  /// How long one may wait.
  public var queueMilliseconds = 3_600_000

  /// The events that are sent: none without a URL.
  public var events: Set<WebhookEventName> {
    guard url != nil else { return [] }
    return eventNames.isEmpty
      ? Set(WebhookEventName.allCases) : Set(eventNames.compactMap(WebhookEventName.init(rawValue:)))
  }

  /// What its settings demand of each other and do not get; nil when they agree.
  var contradiction: String? {
    if url != nil, secrets.isEmpty {
      return "--webhook-url needs --webhook-secret: its receiver must know who posts; openssl rand -hex 32 makes one"
    }
    return nil
  }
}

/// The options of webhooks, in the table of all settings.
enum WebhookOptions {
  static let all: [Option<ServerSettings>] = Option.group(
    "Webhooks",
    [
      .text(
        "webhookUrl", \.webhooks.url, "URL", "where events are posted", whenUnset: "none",
        problem: ServerSettings.webProblem
      ).secret(masked: MaskedURL.text),
      .list(
        "webhookSecret", \.webhooks.secrets, "TEXT,...", "keys of HMAC-SHA256; the first signs what is posted"
      ).secret(),
      .duration(
        "webhookTimeout", \.webhooks.timeoutMilliseconds, 100...60_000, "time in which a post must be answered"),
      .values(
        "webhookAsk", \.webhooks.decisions, "DECISION,...", "what the backend decides: connect, join, message",
        whenUnset: "none", parse: decision),
      .list(
        "webhookHeaders", \.webhooks.headers, "NAME,...",
        "request headers that go along with the question who may connect: Cookie, Authorization", whenUnset: "none",
        problem: headerProblem),
      .list(
        "webhookEvents", \.webhooks.eventNames, "EVENT,...", "which events are posted", whenUnset: "all",
        problem: eventProblem),
      .integer(
        "webhookBatch", \.webhooks.batchMax, 1...1000, "events in one post; above 1 a post is a JSON array"),
      .integer(
        "webhookQueue", \.webhooks.queueMax, 1...1_000_000, "events that may wait; beyond it the oldest are dropped"),
      .duration(
        "webhookQueueAge", \.webhooks.queueMilliseconds, 1000...86_400_000,
        "how long an event may wait before it is dropped"),
    ])

  @Sendable private static func decision(_ text: String) -> Result<BackendDecision, SettingsError> {
    if let decision = BackendDecision(rawValue: text) { return .success(decision) }
    let all = BackendDecision.allCases.map(\.rawValue).joined(separator: ", ")
    return .failure(SettingsError(message: "is no decision; expected some of \(all)"))
  }

  /// The name of a header is a token (RFC 9110 section 5.1).
  @Sendable private static func headerProblem(_ text: String) -> String? {
    let isToken =
      text.utf8.count <= 100
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "!#$%&'*+-.^_`|~".contains($0)) }
    return isToken ? nil : "is no name of a header; expected such as Cookie"
  }

  @Sendable private static func eventProblem(_ text: String) -> String? {
    guard WebhookEventName(rawValue: text) == nil else { return nil }
    return "names no event; expected \(WebhookEventName.allCases.map(\.rawValue).joined(separator: ", "))"
  }
}
