import Glibc
import LoopCore

/// Why no usable answer came from a server, as a client can tell: each with the address that was tried and what to try
/// next, and with the exit status, the same for every command.
public enum ConnectionProblem: Equatable, Sendable {
  /// The host's name has no address.
  case unknownHost
  /// The connection failed; the text is the system's, such as `Connection refused`.
  case unreachable(String)
  /// Nothing came for so many milliseconds.
  case silent(milliseconds: Int)
  /// The connection was closed before any answer.
  case closed
  /// What came is not HTTP.
  case notHTTP(String)
  /// The server does not speak TLS; the text is OpenSSL's.
  case noTLS(String)
  /// The server's certificate was not accepted; the text says why.
  case untrusted(String)
  /// The server answered with an HTTP status that is no success. `location` is where it redirects to, `words` what a
  /// node says about it.
  case answered(status: Int, location: String? = nil, words: String? = nil)
  /// The answer says that a WebSocket begins, and breaks the handshake's rules (RFC 6455 section 4.1).
  case brokenHandshake

  /// What a read or write that failed with an error number of the system, or of TLS (0), says about the server.
  public static func failed(_ code: Int32) -> ConnectionProblem {
    code == 0 || code == ECONNRESET || code == EPIPE ? .closed : .unreachable(SystemError.text(code))
  }

  /// What happened, without address and advice.
  public var reason: String {
    switch self {
    case .unknownHost: "the host name is unknown"
    case .unreachable(let reason): reason
    case .silent(let milliseconds): "nothing came from the server for \(milliseconds) ms"
    case .closed: "the server closed the connection"
    case .notHTTP(let reason): "the server does not answer as an HTTP server: \(reason)"
    case .noTLS(let reason): "the server does not speak TLS: \(reason)"
    case .untrusted(let reason): "the server's certificate was not accepted: \(reason)"
    case .answered(let status, _, let words): "the server answered \(status)" + (words.map { ": \($0)" } ?? "")
    case .brokenHandshake: "the server broke the rules of the WebSocket handshake"
    }
  }

  /// Whether something answered, though not with a WebSocket.
  public var isAnswer: Bool {
    switch self {
    case .answered, .notHTTP, .brokenHandshake: true
    case .unknownHost, .unreachable, .silent, .closed, .noTLS, .untrusted: false
    }
  }

  /// Whether another attempt later may succeed without any change: the node is starting, draining or full.
  public var isPassing: Bool {
    if case .answered(let status, _, _) = self { return status == 429 || status >= 500 }
    return false
  }

  /// Says in one line what happened and what to do.
  ///
  /// - Parameters:
  ///   - url: the server that was asked.
  ///   - tried: the address that was tried, such as `ws://127.0.0.1:8080/ws`.
  ///   - token: the option that gives the token that the server wants, such as `--token`; nil: the command has none.
  public func failure(_ url: ServerURL, tried: String, token: String? = "--token") -> CommandFailure {
    switch self {
    case .unknownHost:
      CommandFailure(
        ExitStatus.unavailable,
        "cannot reach \(tried): the host name \(url.host) is unknown; check its spelling, or name another node by --url "
          + "or ROOST_URL")
    case .unreachable(let reason):
      CommandFailure(
        ExitStatus.unavailable,
        "cannot reach \(tried): \(reason); start a node there, or name another by --url or ROOST_URL")
    case .silent(let milliseconds):
      CommandFailure(
        ExitStatus.unavailable,
        "cannot reach \(tried): no answer within \(milliseconds) ms; check host, port and firewall, or name another node "
          + "by --url or ROOST_URL")
    case .closed:
      CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) closed the connection without an answer; "
          + "check the port" + (url.isSecure ? "" : ", or, if it serves TLS, give \(url.otherSecurity) by --url"))
    case .notHTTP(let reason):
      CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) does not answer as an HTTP server (\(reason)); "
          + "check the port" + (url.isSecure ? "" : ", or, if it serves TLS, give \(url.otherSecurity) by --url"))
    case .noTLS(let reason):
      CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) does not speak TLS (\(reason)); check the port, or give \(url.otherSecurity) by --url")
    case .untrusted(let reason):
      CommandFailure(
        ExitStatus.unexpectedAnswer,
        "the certificate of \(tried) was not accepted (\(reason)); give a name that it holds by --url, or set "
          + "SSL_CERT_FILE to the PEM file of the authority that signed it")
    case .answered(let status, let location, let words):
      Self.answered(status, location, words, url, tried, token)
    case .brokenHandshake:
      CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) breaks the rules of a WebSocket handshake: a proxy may have changed its answer; ask the node itself by "
          + "--url")
    }
  }

  private static func answered(
    _ status: Int, _ location: String?, _ words: String?, _ url: ServerURL, _ tried: String, _ token: String?
  ) -> CommandFailure {
    let said = "\(status)" + (words.map { ", \($0)" } ?? "")
    switch status {
    case 300..<400:
      let place = location.map { "redirects to \($0)" } ?? "redirects, and does not say where"
      return CommandFailure(
        ExitStatus.unexpectedAnswer, "\(tried) \(place) (\(said)); give the address of a node by --url")
    case 401, 403:
      let advice = token.map { "give a token by \($0)" } ?? "give a token in the query of --url, as ?token=JWT"
      return CommandFailure(ExitStatus.noPermission, "\(tried) refused this client (\(said)); \(advice)")
    case 404 where tried.hasSuffix("/echo"):
      return CommandFailure(
        ExitStatus.unexpectedAnswer, "\(tried) answered \(said); a node serves an echo only with --echo: start it so")
    case 404:
      return CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) answered \(said): nothing of Roost is at this path; give the address of a node by --url, such as "
          + "\(url.isSecure ? "https" : "http")://\(url.authority), with a path only where a proxy wants one")
    case 429, 500..<600:
      return CommandFailure(
        ExitStatus.unavailable, "\(tried) answered \(said): it cannot serve this client now; try again later")
    default:
      let secure = url.isSecure || status != 400 ? "" : ", or, if it serves TLS, give \(url.otherSecurity) by --url"
      return CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) answered \(said), not as a Roost node does; check host, port and path of --url\(secure)")
    }
  }
}
