/// Judges a user's name as a node does, before anything is sent.
enum UserText {
  /// Says why no user can have that name, or nil when one can.
  static func problem(_ text: String) -> String? {
    let hasControl = text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard (1...200).contains(text.utf8.count), !hasControl else {
      return "is no user's name; expected 1 to 200 bytes of UTF-8 without control characters"
    }
    return nil
  }
}
