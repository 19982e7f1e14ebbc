import HTTPCore

/// A file that is built into the binary: the chat page, the call page, the dashboard. `ClientLibrary` is the browser client.
struct Page {
  private let contentType: StaticString
  private let bytes: [UInt8]
  private var policy = Page.publicPolicy
  private var isStorable = true
  private var permissions = Page.noPermissions

  private static let html: StaticString = "text/html; charset=utf-8"
  private static let css: StaticString = "text/css; charset=utf-8"
  private static let javaScript: StaticString = "text/javascript; charset=utf-8"

  /// Nothing but the node's own files may run on its pages, and no other site may frame them.
  private static let publicPolicy: StaticString =
    "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'self'"

  /// A framed call page would have its button Accept pressed by what lies over it: nobody frames it.
  private static let callPolicy: StaticString =
    """
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'
    """

  /// Camera and microphone (Permissions Policy) are for the call page itself, and for nothing that it frames.
  private static let callPermissions: StaticString = "camera=(self), microphone=(self)"
  private static let noPermissions: StaticString = "camera=(), microphone=()"

  /// The dashboard holds the admin token while it is open: nobody frames it, no form leaves it, and where browsers know
  /// trusted types no text becomes markup, whatever the page's own code does.
  private static let dashboardPolicy: StaticString =
    """
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'
    """

  /// Whether `path` is of the chat page, the call page or the small demos, which a node serves as demonstrations only.
  static func isDemo(_ path: String) -> Bool {
    path == "/" || path == "/call" || ["/chat.", "/call.", "/call-", "/demo/"].contains { path.hasPrefix($0) }
  }

  /// The page at `path`, or nil.
  static func find(_ path: String) -> Page? {
    switch path {
    case "/": Page(contentType: html, bytes: PackageResources.chat_html)
    case "/page.css": Page(contentType: css, bytes: PackageResources.page_css)
    case "/chat.css": Page(contentType: css, bytes: PackageResources.chat_css)
    case "/chat.js": Page(contentType: javaScript, bytes: PackageResources.chat_js)
    case "/call": call(html, PackageResources.call_html)
    case "/call.css": call(css, PackageResources.call_css)
    case "/call.js": call(javaScript, PackageResources.call_js)
    case "/call-link.js": call(javaScript, PackageResources.call_link_js)
    case "/call-signals.js": call(javaScript, PackageResources.call_signals_js)
    case "/call-view.js": call(javaScript, PackageResources.call_view_js)
    case "/call-files.js": call(javaScript, PackageResources.call_files_js)
    case "/favicon.svg": Page(contentType: "image/svg+xml", bytes: PackageResources.favicon_svg)
    default: findDemo(path)
    }
  }

  private static func findDemo(_ path: String) -> Page? {
    switch path {
    case "/demo/notifications", "/demo/feed", "/demo/board", "/demo/orders", "/demo/text":
      Page(contentType: html, bytes: PackageResources.demo_html)
    case "/demo/demo.css": Page(contentType: css, bytes: PackageResources.demo_css)
    case "/demo/demo.js": Page(contentType: javaScript, bytes: PackageResources.demo_js)
    case "/demo/notifications.js": Page(contentType: javaScript, bytes: PackageResources.demo_notifications_js)
    case "/demo/feed.js": Page(contentType: javaScript, bytes: PackageResources.demo_feed_js)
    case "/demo/board.js": Page(contentType: javaScript, bytes: PackageResources.demo_board_js)
    case "/demo/orders.js": Page(contentType: javaScript, bytes: PackageResources.demo_orders_js)
    case "/demo/text.js": Page(contentType: javaScript, bytes: PackageResources.demo_text_js)
    case "/demo/text-edits.js": Page(contentType: javaScript, bytes: PackageResources.demo_text_edits_js)
    default: nil
    }
  }

  /// The dashboard's file at `path`, below `/admin/`, or nil. None holds a secret: they need no token.
  static func findDashboard(_ path: String) -> Page? {
    switch path {
    case "/admin/": dashboard(html, PackageResources.dashboard_html)
    case "/admin/dashboard.css": dashboard(css, PackageResources.dashboard_css)
    case "/admin/chart.css": dashboard(css, PackageResources.chart_css)
    case "/admin/dashboard.js": dashboard(javaScript, PackageResources.dashboard_js)
    case "/admin/actions.js": dashboard(javaScript, PackageResources.actions_js)
    case "/admin/admin.js": dashboard(javaScript, PackageResources.admin_js)
    case "/admin/chart.js": dashboard(javaScript, PackageResources.chart_js)
    case "/admin/detail.js": dashboard(javaScript, PackageResources.detail_js)
    case "/admin/live.js": dashboard(javaScript, PackageResources.live_js)
    case "/admin/nodes.js": dashboard(javaScript, PackageResources.nodes_js)
    case "/admin/rooms.js": dashboard(javaScript, PackageResources.rooms_js)
    case "/admin/stats.js": dashboard(javaScript, PackageResources.stats_js)
    case "/admin/table.js": dashboard(javaScript, PackageResources.table_js)
    case "/admin/tail.js": dashboard(javaScript, PackageResources.tail_js)
    default: nil
    }
  }

  private static func call(_ contentType: StaticString, _ bytes: [UInt8]) -> Page {
    Page(contentType: contentType, bytes: bytes, policy: callPolicy, permissions: callPermissions)
  }

  private static func dashboard(_ contentType: StaticString, _ bytes: [UInt8]) -> Page {
    // A cache would keep the token with the address when it stands there.
    Page(contentType: contentType, bytes: bytes, policy: dashboardPolicy, isStorable: false)
  }

  func response() -> Response {
    var response = Response(status: 200, contentType: contentType, body: bytes)
    if isStorable { response.addHeader("Cache-Control", "no-cache") } else { response.forbidStoring() }
    response.addHeader("X-Content-Type-Options", "nosniff")
    response.addHeader("Referrer-Policy", "no-referrer")
    response.addHeader("Content-Security-Policy", policy)
    response.addHeader("Permissions-Policy", permissions)
    return response
  }
}
