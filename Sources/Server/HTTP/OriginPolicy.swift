import AddressCore
import HTTPCore

/// Decides which web pages may send requests (RFC 6455 section 10.2). Pure.
struct OriginPolicy {
  /// What became of a request.
  enum Verdict: Equatable {
    case allowed
    /// There is a list, and the page's origin is not in it.
    case unlisted
    /// Every page is let in, and a page of another site would use the visitor's cookie.
    case foreign
  }

  /// Empty: everyone.
  private let rules: [OriginRule]
  /// Whether the list lets in every page.
  let listsAll: Bool

  /// Headers that a browser sends by itself and that the backend may know a visitor by, in lower case.
  private let credentials: [[UInt8]]

  /// - Parameter backendHeaders: the headers that go to the backend when it decides who may connect.
  init(_ rules: [OriginRule], backendHeaders: [String] = []) {
    self.rules = rules
    listsAll = rules.contains(where: \.isAll)
    credentials = backendHeaders.map { $0.lowercased() }.filter { ["cookie", "authorization"].contains($0) }
      .map { Array($0.utf8) }
  }

  /// Whether there is a list at all.
  var isList: Bool { !rules.isEmpty }

  /// Judges a request by its `Origin`; where every page is let in also by whether it carries the cookie, or what the backend may know a
  /// visitor by, which alone would let any page on the web speak in its visitor's name (cross-site WebSocket hijacking). Programs send no `Origin` and are not
  /// meant; the node's own pages are always allowed.
  ///
  /// - Parameter isSecure: whether the request came by TLS, to the node or to a proxy in front of it that says so.
  func judge(_ head: RequestHead, isSecure: Bool) -> Verdict {
    guard let origin = head.value(.origin) else {
      return isPartOfForeignPage(head) && isVisitors(head) ? .foreign : .allowed
    }
    if isOwn(origin, head, isSecure: isSecure) { return .allowed }
    if isList, !listsAll { return lists(origin) ? .allowed : .unlisted }
    return isVisitors(head) ? .foreign : .allowed
  }

  /// Whether a request carries what its visitor is known by, sent by the browser itself.
  private func isVisitors(_ head: RequestHead) -> Bool {
    head.cookie(UserToken.cookieName) != nil || credentials.contains { head.headers.has($0) }
  }

  /// Whether a page of another site asks, as an image or a script does: without an `Origin` (Fetch Metadata Request Headers,
  /// sections 2.3 and 2.2). A link to the node is none.
  private func isPartOfForeignPage(_ head: RequestHead) -> Bool {
    guard let site = head.headers.first("sec-fetch-site"), site.isText("cross-site") else { return false }
    guard let mode = head.headers.first("sec-fetch-mode") else { return true }
    return !mode.isText("navigate")
  }

  /// Whether the list names the page's origin.
  func lists(_ origin: Span<UInt8>) -> Bool {
    for rule in rules where rule.matches(origin) { return true }
    return false
  }

  /// Whether the page came from the host and port that it now asks. Under TLS a page that came without it was not the
  /// node's: anybody between could have made it.
  private func isOwn(_ origin: Span<UInt8>, _ head: RequestHead, isSecure: Bool) -> Bool {
    guard let page = WebOrigin(origin), page.isWeb, let authority = head.authority else { return false }
    if isSecure, !page.scheme.elementsEqual("https".utf8) { return false }
    return WebOrigin(scheme: page.scheme, authority: authority) == page
  }
}
