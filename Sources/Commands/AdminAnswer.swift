import ClientCore
import JSONCore

/// Judges what the admin endpoint answered.
enum AdminAnswer {
  /// Throws for every status that is not 2xx, with the server's own message where there is one.
  ///
  /// - Parameters:
  ///   - tried: the address that was asked, without a query.
  ///   - location: where the answer redirects to, if it does.
  static func check(
    status: Int, location: String?, body: [UInt8], from url: ServerURL, tried: String, hasToken: Bool
  ) throws(CommandFailure) {
    guard !(200..<300).contains(status) else { return }
    // What answers without the words of a Roost node is another program, or a proxy.
    guard let (said, code) = words(in: body) else {
      throw ConnectionProblem.answered(status: status, location: location)
        .failure(url, tried: tried, token: "--admin-token or ROOST_ADMIN_TOKEN")
    }
    let message = "\(tried): \(said), \(code) (\(status))"
    switch status {
    case 401:
      let what = hasToken ? "refused the admin token" : "needs the admin token"
      throw CommandFailure(
        ExitStatus.noPermission,
        "\(url.text) \(what); give it by --admin-token or ROOST_ADMIN_TOKEN "
          + "(a node that was given none prints one at start)")
    case 403: throw CommandFailure(ExitStatus.noPermission, "\(message); give another token by --admin-token")
    // The path is there, and what it names is not.
    case 404 where !said.hasPrefix("no such path"):
      let advice = listings.first { said.hasPrefix($0.beginning) }.map { "; \($0.advice)" } ?? ""
      throw CommandFailure(ExitStatus.refusedData, message + advice)
    case 404:
      throw CommandFailure(
        ExitStatus.unexpectedAnswer, "\(message); a node with --admin-port answers there only: give that port by --url")
    case 429, 500...: throw CommandFailure(ExitStatus.unavailable, "\(message); try again later")
    default: throw CommandFailure(ExitStatus.refusedData, message)
    }
  }

  /// How a node begins to say that something is not there, and which command lists what is.
  private static let listings = [
    (beginning: "no such node", advice: "roost nodes lists them"),
    (beginning: "no such connection", advice: "roost user NAME lists a user's, roost presence ROOM those in a room"),
  ]

  /// Parses an answer that must be a JSON object with an array of that name, and returns both.
  static func list(
    _ name: StaticString, in body: [UInt8]
  ) throws(CommandFailure) -> (answer: JSONValue, entries: [JSONValue]) {
    let answer = try parse(body)
    guard let entries = answer[name]?.asArray else { throw unexpected("\(name) is missing") }
    return (answer, entries)
  }

  /// Prints an answer: the server's JSON as it came, or a line for people.
  static func show(_ answer: [UInt8], _ settings: ClientSettings, _ line: (JSONValue) -> String) throws(CommandFailure)
  {
    if settings.json { Output.json(answer) } else { Output.text(line(try parse(answer)) + "\n") }
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
    CommandFailure(
      ExitStatus.unexpectedAnswer,
      "the answer is not that of a Roost node: \(what); check host and port of --url or ROOST_URL")
  }

  /// The message and the code of a node's error; nil when the body is none.
  private static func words(in body: [UInt8]) -> (message: String, code: String)? {
    let error = (try? JSONValue.parse(body.span))?["error"]
    guard let message = error?["message"]?.asString, let code = error?["code"]?.asString else { return nil }
    return (message, code)
  }
}
