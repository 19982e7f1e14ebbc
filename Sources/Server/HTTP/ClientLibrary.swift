import HTTPCore

/// The browser client as a node serves it. `/roost.js` is asked for again each time and answered by 304 while it is the
/// same; `/roost-VERSION.js`, with the node's version, may be kept for ever. `/roost.d.ts` has the types of both.
struct ClientLibrary {
  private let contentType: StaticString
  private let bytes: [UInt8]
  private let tag: [UInt8]
  private let cacheControl: StaticString

  private static let revalidated: StaticString = "no-cache"
  private static let kept: StaticString = "public, max-age=31536000, immutable"
  private static let script: StaticString = "text/javascript; charset=utf-8"
  private static let types: StaticString = "application/typescript; charset=utf-8"
  private static let client = PackageResources.roost_min_js
  private static let clientTag = makeTag(of: client)
  private static let declarations = PackageResources.roost_d_ts
  private static let declarationsTag = makeTag(of: declarations)
  private static let versionPath = "/roost-\(Node.version).js"

  /// The file at `path`, or nil.
  static func find(_ path: String) -> ClientLibrary? {
    switch path {
    case "/roost.js":
      ClientLibrary(contentType: script, bytes: client, tag: clientTag, cacheControl: revalidated)
    case versionPath: ClientLibrary(contentType: script, bytes: client, tag: clientTag, cacheControl: kept)
    case "/roost.d.ts":
      ClientLibrary(contentType: types, bytes: declarations, tag: declarationsTag, cacheControl: revalidated)
    default: nil
    }
  }

  func response(to head: RequestHead) -> Response {
    let isKnown = head.list(.ifNoneMatch).map { EntityTag.matches(tag, in: $0) } ?? false
    var response =
      isKnown ? Response(status: 304) : Response(status: 200, contentType: contentType, body: bytes)
    response.addHeader("Cache-Control", cacheControl)
    response.addHeader("ETag", tag.span)
    response.addHeader("X-Content-Type-Options", "nosniff")
    return response
  }

  /// A strong tag: it changes with every byte (FNV-1a, 64 bits).
  private static func makeTag(of bytes: [UInt8]) -> [UInt8] {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Array("\"\(String(hash, radix: 16))\"".utf8)
  }
}
