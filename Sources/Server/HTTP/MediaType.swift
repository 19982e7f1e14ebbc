import HTTPCore

extension RequestHead {
  /// The type of the body in lower case, without its parameters (RFC 9110 section 8.3.1); nil: the request names none.
  var mediaType: String? {
    guard let type = copy(.contentType) else { return nil }
    let essence = type.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
    return String(decoding: essence, as: UTF8.self).lowercased()
  }

  /// Whether the body is what the form of a page sends, which is no JSON.
  var hasFormBody: Bool { mediaType == "application/x-www-form-urlencoded" || mediaType == "multipart/form-data" }
}
