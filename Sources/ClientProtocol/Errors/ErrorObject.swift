import JSONCore

extension JSONWriter {
  /// Writes the member `error`: an object with the code and the message of an error, as HTTP answers and responses have it.
  public mutating func error(_ code: ErrorCode, _ message: String) {
    key("error")
    beginObject()
    key("code")
    string(code.wireName)
    key("message")
    string(message)
    endObject()
  }
}
