// The headers of requests that the server reads. Each has one reader, by its grammar: `RequestHead.value` for those that
// stand once, `RequestHead.list` for lists, whose lines are one, `RequestHead.cookie` for cookies.

/// Names a request header that holds one value (RFC 9110 section 5.3). A request that repeats one is refused with 400, for
/// two readers could take different lines.
public struct SingleHeader: Sendable {
  let known: KnownHeader

  /// RFC 9110 section 7.2.
  public static let host = SingleHeader(known: .host)
  /// RFC 9110 section 11.6.2.
  public static let authorization = SingleHeader(known: .authorization)
  /// RFC 6454 section 7.3: never more than one.
  public static let origin = SingleHeader(known: .origin)
  /// RFC 6455 section 11.3.1: never more than one in a request.
  public static let webSocketKey = SingleHeader(known: .webSocketKey)
  /// RFC 6455 section 11.3.5: never more than one in a request.
  public static let webSocketVersion = SingleHeader(known: .webSocketVersion)
  /// draft-ietf-httpapi-idempotency-key-header: one item.
  public static let idempotencyKey = SingleHeader(known: .idempotencyKey)
  /// WHATWG HTML section 9.2.4.
  public static let lastEventID = SingleHeader(known: .lastEventID)
  /// Of GitHub's webhooks: the HMAC of the body.
  public static let hubSignature = SingleHeader(known: .hubSignature)
  /// Of GitHub's webhooks: the name of the event.
  public static let gitHubEvent = SingleHeader(known: .gitHubEvent)
  /// Of GitHub's webhooks: the id of the delivery.
  public static let gitHubDelivery = SingleHeader(known: .gitHubDelivery)
  /// Of Stripe's webhooks: a time stamp and HMACs.
  public static let stripeSignature = SingleHeader(known: .stripeSignature)
  /// Of Roost's webhooks: a time stamp and HMACs.
  public static let roostSignature = SingleHeader(known: .roostSignature)
  /// RFC 9110 section 8.3.
  public static let contentType = SingleHeader(known: .contentType)
}

/// Names a request header that holds a list: its lines count as one, joined by commas (RFC 9110 section 5.3).
public struct ListHeader: Sendable {
  let known: KnownHeader

  /// RFC 9110 section 7.6.1.
  public static let connection = ListHeader(known: .connection)
  /// RFC 9110 section 7.8.
  public static let upgrade = ListHeader(known: .upgrade)
  /// RFC 6455 section 11.3.2.
  public static let webSocketExtensions = ListHeader(known: .webSocketExtensions)
  /// RFC 6455 section 11.3.4.
  public static let webSocketProtocol = ListHeader(known: .webSocketProtocol)
  /// RFC 9112 section 6.1.
  public static let transferEncoding = ListHeader(known: .transferEncoding)
  /// RFC 9110 section 8.6; the same length repeated is one (RFC 9112 section 6.3).
  public static let contentLength = ListHeader(known: .contentLength)
  /// Of proxies; each adds an element.
  public static let forwardedFor = ListHeader(known: .forwardedFor)
  /// Of proxies; the first element is the scheme that the client used.
  public static let forwardedProtocol = ListHeader(known: .forwardedProtocol)
  /// RFC 9110 section 13.1.2.
  public static let ifNoneMatch = ListHeader(known: .ifNoneMatch)
  /// RFC 9110 section 12.5.3.
  public static let acceptEncoding = ListHeader(known: .acceptEncoding)
  /// RFC 9110 section 10.1.1.
  public static let expect = ListHeader(known: .expect)
  /// W3C Trace Context section 3.2. It is no list: one that is repeated is ignored, and so is what its lines make together.
  public static let traceParent = ListHeader(known: .traceParent)
  /// Of proxies and clients: names the request in logs. It is no list either.
  public static let requestID = ListHeader(known: .requestID)
}

extension RequestHead {
  /// Gives the value of a header that stands once; nil when it is absent.
  @_lifetime(borrow self)
  public func value(_ header: SingleHeader) -> Span<UInt8>? { headers.first(header.known) }

  /// Copies the value of a header that stands once; nil when it is absent.
  public func copy(_ header: SingleHeader) -> [UInt8]? {
    guard let value = value(header) else { return nil }
    return value.copy(0..<value.count)
  }

  /// Gives the lines of a list as one, joined with `, `; nil when there is none.
  public func list(_ header: ListHeader) -> [UInt8]? { headers.combined(header.known) }

  /// Gives the value of a cookie, without the quotes it may stand in; nil when there is none of that name.
  ///
  /// Cookies stand in pairs separated by semicolons, in any number of Cookie lines (RFC 6265 section 5.4, RFC 9113 section
  /// 8.2.3). Of several with the same name the first counts, which browsers make the most specific one.
  public func cookie(_ name: StaticString) -> [UInt8]? {
    var found: [UInt8]?
    headers.forEach(.cookie) { line in
      var start = 0
      while found == nil, start <= line.count {
        let end = line.firstIndex(of: UInt8(ascii: ";"), in: start..<line.count) ?? line.count
        found = Self.cookieValue(line.extracting(line.trimmed(start..<end)), named: name)
        start = end + 1
      }
    }
    return found
  }

  private static func cookieValue(_ pair: Span<UInt8>, named name: StaticString) -> [UInt8]? {
    guard let equals = pair.firstIndex(of: UInt8(ascii: "="), in: 0..<pair.count),
      pair.extracting(pair.trimmed(0..<equals)).equals(name)
    else { return nil }
    let value = pair.trimmed(equals + 1..<pair.count)
    // RFC 6265 section 4.1.1 lets a value stand in quotes.
    let quote = UInt8(ascii: "\"")
    let isQuoted = value.count >= 2 && pair[value.lowerBound] == quote && pair[value.upperBound - 1] == quote
    return pair.copy(isQuoted ? value.lowerBound + 1..<value.upperBound - 1 : value)
  }
}
