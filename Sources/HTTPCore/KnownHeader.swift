/// The headers that somebody here reads. A name is compared with them once, when its line is parsed; every reader afterwards
/// compares a byte, and finds out in one step that a header is absent.
enum KnownHeader: UInt8 {
  case other
  // Those that hold one value (`SingleHeader`).
  case host, authorization, origin, webSocketKey, webSocketVersion, idempotencyKey, lastEventID
  case hubSignature, gitHubEvent, gitHubDelivery, stripeSignature, roostSignature, contentType
  // Those that hold lists (`ListHeader`).
  case connection, upgrade, webSocketExtensions, webSocketProtocol, transferEncoding, contentLength
  case forwardedFor, forwardedProtocol, ifNoneMatch, acceptEncoding, expect, traceParent, requestID
  case cookie

  /// Finds a name, letters in either case.
  init(_ name: Span<UInt8>) {
    switch name.count {
    case 4: self = name.matches("Host") ? .host : .other
    case 6:
      self =
        name.matches("Origin") ? .origin : name.matches("Cookie") ? .cookie : name.matches("Expect") ? .expect : .other
    case 7: self = name.matches("Upgrade") ? .upgrade : .other
    case 10: self = name.matches("Connection") ? .connection : .other
    case 11: self = name.matches("traceparent") ? .traceParent : .other
    case 12: self = name.matches("Content-Type") ? .contentType : name.matches("X-Request-ID") ? .requestID : .other
    case 13:
      self =
        name.matches("Authorization")
        ? .authorization
        : name.matches("Last-Event-ID") ? .lastEventID : name.matches("If-None-Match") ? .ifNoneMatch : .other
    case 14:
      self = name.matches("Content-Length") ? .contentLength : name.matches("X-GitHub-Event") ? .gitHubEvent : .other
    case 15:
      self =
        name.matches("Accept-Encoding")
        ? .acceptEncoding
        : name.matches("X-Forwarded-For")
          ? .forwardedFor
          : name.matches("Idempotency-Key")
            ? .idempotencyKey : name.matches("Roost-Signature") ? .roostSignature : .other
    case 16: self = name.matches("Stripe-Signature") ? .stripeSignature : .other
    case 17:
      self =
        name.matches("Sec-WebSocket-Key")
        ? .webSocketKey
        : name.matches("X-Forwarded-Proto")
          ? .forwardedProtocol
          : name.matches("Transfer-Encoding")
            ? .transferEncoding : name.matches("X-GitHub-Delivery") ? .gitHubDelivery : .other
    case 19: self = name.matches("X-Hub-Signature-256") ? .hubSignature : .other
    case 21: self = name.matches("Sec-WebSocket-Version") ? .webSocketVersion : .other
    case 22: self = name.matches("Sec-WebSocket-Protocol") ? .webSocketProtocol : .other
    case 24: self = name.matches("Sec-WebSocket-Extensions") ? .webSocketExtensions : .other
    default: self = .other
    }
  }

  /// Whether a request may hold it once only (RFC 9110 section 5.3).
  var isSingle: Bool { rawValue >= KnownHeader.host.rawValue && rawValue <= KnownHeader.contentType.rawValue }

  /// Its bit in a set of headers.
  var bit: UInt32 { 1 << UInt32(rawValue) }
}
