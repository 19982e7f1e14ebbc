import JSONCore

/// Judges what the admin endpoint answered.
enum AdminAnswer {
  /// Throws for every status that is not 2xx, with the server's own message where there is one.
  static func check(status: Int, body: [UInt8], from url: ServerURL, hasToken: Bool) throws(CommandFailure) {
    switch status {
    case 200..<300: return
    case 401:
      let what = hasToken ? "refused the admin token" : "needs the admin token"
      throw CommandFailure(
        ExitStatus.noPermission,
        "\(url.text) \(what); give it by --admin-token or ROOST_ADMIN_TOKEN "
          + "(a node that was given none prints one at start)")
    case 404:
      throw CommandFailure(
        ExitStatus.refusedData,
        "\(url.text): \(message(in: body, status)); a node with --admin-port answers there only")
    case 400..<500: throw CommandFailure(ExitStatus.refusedData, "\(url.text): \(message(in: body, status))")
    case 500..<600: throw CommandFailure(ExitStatus.unavailable, "\(url.text): \(message(in: body, status))")
    default:
      throw CommandFailure(ExitStatus.unexpectedAnswer, "\(url.text) answered with status \(status): not a Roost node")
    }
  }

  /// Parses an answer that must be a JSON object with an array of that name, and returns both.
  static func list(
    _ name: StaticString, in body: [UInt8]
  ) throws(CommandFailure) -> (answer: JSONValue, entries: [JSONValue]) {
    let answer = try parse(body)
    guard let entries = answer[name]?.asArray else { throw unexpected("\(name) is missing") }
    return (answer, entries)
  }

  /// Parses an answer.
  static func parse(_ body: [UInt8]) throws(CommandFailure) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue.parse(body.span)
    } catch {
      throw unexpected("\(error)")
    }
  }

  private static func unexpected(_ what: String) -> CommandFailure {
    CommandFailure(ExitStatus.unexpectedAnswer, "the answer is not that of a Roost node: \(what)")
  }

  private static func message(in body: [UInt8], _ status: Int) -> String {
    let error = (try? JSONValue.parse(body.span))?["error"]
    guard let message = error?["message"]?.asString else { return "status \(status)" }
    return "\(message) (\(error?["code"]?.asString ?? "status") \(status))"
  }
}
