import ClientCore
import Settings

/// What the commands that talk to a server can be told; each command's table lists those that it takes.
struct ClientSettings: Sendable {
  /// The node to ask; any node of a cluster answers for all.
  var url = ServerURL.local.text
  var adminToken: String?
  var json = false
  /// Milliseconds for one exchange, name resolution and connecting among them.
  var timeoutMilliseconds = 5000
  var prefix: String?
  /// The most rooms to list; nil for all.
  var limit: Int?
  var user: String?
  var token: String?
  /// Milliseconds between two looks; nil for one look.
  var watchMilliseconds: Int?
  /// The id of a connection to close.
  var connection: String?
  /// The `jti` of a token to revoke.
  var tokenID: String?
  var revokeMilliseconds = 86_400_000
  /// Whether `drain` waits for the node's end.
  var waits = false

  /// The address, which the option table has checked.
  var server: ServerURL {
    get throws(CommandFailure) {
      do throws(ServerURL.Problem) {
        return try ServerURL(parsing: url)
      } catch {
        throw CommandFailure(ExitStatus.usage, "--url: \(error)")
      }
    }
  }
}

extension ClientSettings {
  static let address: [Option<ClientSettings>] = [
    .text(
      "url", \.url, "URL", "address of any node, http(s):// or ws(s):// (environment: ROOST_URL)",
      problem: ServerURL.problem
    )
    .from(.argumentsAndEnvironment),
    .duration("timeout", \.timeoutMilliseconds, 100...600_000, "how long to wait for an answer").from(.argumentsOnly),
  ]

  static let administration: [Option<ClientSettings>] =
    address + [
      .text("adminToken", \.adminToken, "TEXT", "the node's admin token (environment: ROOST_ADMIN_TOKEN)")
        .secret().from(.argumentsAndEnvironment),
      .flag("json", \.json, "print the server's JSON as it came").from(.argumentsOnly),
    ]

  /// What `tail` prints is JSON anyway: the option is for scripts that give it to every command.
  static let lines: [Option<ClientSettings>] = [
    .flag("json", \.json, "print JSON, as it does anyway").from(.argumentsOnly)
  ]

  static let listing: [Option<ClientSettings>] = [
    .text("prefix", \.prefix, "TEXT", "only rooms whose name begins so").from(.argumentsOnly),
    .integer("limit", \.limit, 1...1_000_000, whenUnset: "all", "the most rooms to list").from(.argumentsOnly),
  ]

  static let membership: [Option<ClientSettings>] = [
    .text(
      "user", \.user, "NAME", "name to join under where the server asks for no token", whenUnset: "tail-XXXXXX",
      problem: UserText.problem
    ).from(.argumentsOnly),
    .text("token", \.token, "JWT", "token that names the user (environment: ROOST_TOKEN)")
      .secret().from(.argumentsAndEnvironment),
  ]

  /// Of the commands that send something.
  static let sending: [Option<ClientSettings>] = [
    .text(
      "user", \.user, "NAME", "the user in whose name it is sent", whenUnset: "nobody's", problem: UserText.problem
    ).from(.argumentsOnly)
  ]

  /// Of the commands that show something.
  static let watching: [Option<ClientSettings>] = [
    Option(
      "watch", form: .flag, placeholder: "", help: "look again every 2s, or --watch DURATION, from 100ms to 1h",
      defaultText: { _ in nil }
    ) { settings, text in
      guard let interval = text == "on" ? 2000 : Quantity.milliseconds(text), (100...3_600_000).contains(interval)
      else { return "is no interval; expected --watch DURATION from 100ms to 1h" }
      settings.watchMilliseconds = interval
      return nil
    }.from(.argumentsOnly).withValue { $0 != "0" && Quantity.milliseconds($0) != nil }
  ]

  static let disconnecting: [Option<ClientSettings>] = [
    .text("connection", \.connection, "ID", "one connection instead of all of a user's").from(.argumentsOnly)
  ]

  static let revoking: [Option<ClientSettings>] = [
    .duration("for", \.revokeMilliseconds, 1000...31_536_000_000, "how long the tokens are refused")
      .from(.argumentsOnly),
    .text("jti", \.tokenID, "ID", "one token by its claim jti instead of all of a user's").from(.argumentsOnly),
  ]

  static let draining: [Option<ClientSettings>] = [
    .flag("wait", \.waits, "wait until the node has ended, at most 10m").from(.argumentsOnly)
  ]
}
