import HTTPCore

/// A file that is built into the binary: the chat page and the browser client.
struct Page {
  private let contentType: StaticString
  private let bytes: [UInt8]

  /// The page at `path`, or nil.
  static func find(_ path: String) -> Page? {
    switch path {
    case "/": Page(contentType: "text/html; charset=utf-8", bytes: PackageResources.chat_html)
    case "/chat.css": Page(contentType: "text/css; charset=utf-8", bytes: PackageResources.chat_css)
    case "/chat.js": Page(contentType: "text/javascript; charset=utf-8", bytes: PackageResources.chat_js)
    case "/roost.js": Page(contentType: "text/javascript; charset=utf-8", bytes: PackageResources.roost_js)
    case "/favicon.svg": Page(contentType: "image/svg+xml", bytes: PackageResources.favicon_svg)
    default: nil
    }
  }

  /// Nothing but the node's own files may run on its pages, and nobody may frame them.
  func response() -> Response {
    var response = Response(status: 200, contentType: contentType, body: bytes)
    response.addHeader("Cache-Control", "no-cache")
    response.addHeader("X-Content-Type-Options", "nosniff")
    response.addHeader("Referrer-Policy", "no-referrer")
    response.addHeader(
      "Content-Security-Policy",
      "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'self'")
    return response
  }
}
