/// Finds the client in an `X-Forwarded-For` list, in which every proxy has added the peer it saw at the right end.
public enum ForwardedFor {
  /// Walks the list from its right end as long as the speaker is trusted, and returns the first address that nobody
  /// trusted has spoken for: what stands to its left may be anybody's invention.
  ///
  /// - Parameters:
  ///   - list: all `X-Forwarded-For` lines, joined by commas.
  ///   - peer: the address that the connection came from.
  /// - Returns: the client's address; the last trusted one when an entry is no address, and `peer` when that is not
  ///   trusted itself.
  public static func client(_ list: Span<UInt8>, peer: IPAddress, trusted: TrustedProxies) -> IPAddress {
    var client = peer
    var end = list.count
    while end >= 0, trusted.contains(client) {
      var start = end
      while start > 0, list[start - 1] != UInt8(ascii: ",") { start -= 1 }
      guard let address = entry(list.extracting(start..<end)) else { break }
      client = address
      end = start - 1
    }
    return client
  }

  /// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:80`.
  private static func entry(_ text: Span<UInt8>) -> IPAddress? {
    var (start, end) = (0, text.count)
    while start < end, text[start] == 0x20 || text[start] == 0x09 { start += 1 }
    while start < end, text[end - 1] == 0x20 || text[end - 1] == 0x09 { end -= 1 }
    guard start < end else { return nil }
    var colons: [Int] = []
    var bracket: Int?
    for i in start..<end {
      if text[i] == UInt8(ascii: ":") { colons.append(i) }
      if text[i] == UInt8(ascii: "]") { bracket = i }
    }
    if text[start] == UInt8(ascii: "[") {
      guard let bracket, bracket + 1 == end || isPort(text, bracket + 1, end) else { return nil }
      return IPAddress(text: text.extracting((start + 1)..<bracket))
    }
    if colons.count == 1 {
      guard isPort(text, colons[0], end) else { return nil }
      end = colons[0]
    }
    return IPAddress(text: text.extracting(start..<end))
  }

  private static func isPort(_ text: Span<UInt8>, _ colon: Int, _ end: Int) -> Bool {
    guard text[colon] == UInt8(ascii: ":"), (1...5).contains(end - colon - 1) else { return false }
    for i in (colon + 1)..<end where text[i] < 0x30 || text[i] > 0x39 { return false }
    return true
  }
}
