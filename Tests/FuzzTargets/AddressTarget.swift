import AddressCore

/// Reads what proxies say: a PROXY header, a list of forwarders, an address, a network, and what browsers say: an origin.
enum AddressTarget {
  private static let everyone = TrustedProxies(["::/0"].compactMap { IPNetwork($0) })
  private static let nobody = TrustedProxies([])
  private static let peer = IPAddress(v4: 0x0A00_0001)

  static func check(_ input: [UInt8]) throws(Broken) {
    try checkHeader(input)
    try checkText(input)
    try require(
      ForwardedFor.client(input.span, peer: peer, trusted: nobody) == peer, "who is not trusted cannot name another")
    _ = ForwardedFor.client(input.span, peer: peer, trusted: everyone)
    _ = IPNetwork(String(decoding: input, as: UTF8.self))
    try checkOrigin(input)
  }

  /// An entry that is taken lets the page in that it names: none is taken that matches nothing.
  private static func checkOrigin(_ input: [UInt8]) throws(Broken) {
    let text = String(decoding: input, as: UTF8.self)
    guard let rule = try? OriginRule(text) else { return }
    var page = Array(text.utf8)
    if let star = page.firstIndex(of: UInt8(ascii: "*")) { page[star] = UInt8(ascii: "a") }
    if !text.contains("://"), !rule.isNull { page = Array("https://".utf8) + page }
    try require(rule.matches(page.span), "an entry matches the page that it names")
  }

  /// A header has one end, wherever the bytes are cut: whoever reads too far would eat the client's own.
  private static func checkHeader(_ input: [UInt8]) throws(Broken) {
    guard case .header(let count, let source) = ProxyHeader.read(input.span) else { return }
    try require(count > 0 && count <= min(input.count, ProxyHeader.bytesMax), "a header lies within the bytes")
    for end in 0..<count {
      guard case .needMore = ProxyHeader.read(input.span.extracting(0..<end)) else {
        throw Broken(description: "the beginning of a header asks for more")
      }
    }
    guard case .header(count, source) = ProxyHeader.read(input.span.extracting(0..<count)) else {
      throw Broken(description: "what follows a header does not change it")
    }
  }

  private static func checkText(_ input: [UInt8]) throws(Broken) {
    guard let address = IPAddress(text: input.span) else { return }
    let text = address.text
    try require(IPAddress(text: text.span) == address, "an address that is written is read as the same")
    try require(text.count <= 39, "an address has at most 39 characters")
  }
}
