/// Compares entity tags (RFC 9110 section 8.8.3).
public enum EntityTag {
  /// Tells whether an If-None-Match has a tag, or is `*`, which any is (RFC 9110 section 13.1.2). The comparison is weak.
  ///
  /// - Parameters:
  ///   - tag: with its quotes, without `W/`.
  ///   - list: the header's value; a tag in it that holds a comma is not found, which only costs the whole answer.
  public static func matches(_ tag: [UInt8], in list: [UInt8]) -> Bool {
    list.split(separator: ASCII.comma).contains { item in
      var item = item.drop { $0 == ASCII.space || $0 == ASCII.tab }
      while let last = item.last, last == ASCII.space || last == ASCII.tab { item.removeLast() }
      if item.elementsEqual("*".utf8) { return true }
      return (item.starts(with: "W/".utf8) ? item.dropFirst(2) : item).elementsEqual(tag)
    }
  }
}
