import ClientCore
import Settings

/// Writes the manual page of `roost`, section 1, made from the tables of options. Pure; see man(7) for the language.
enum Manual {
  static func page(_ commands: [CommandSynopsis], version: String) -> String {
    var lines = [
      ".TH ROOST 1 \"\" \"roost \(escaped(version))\" \"User Commands\"",
      ".SH NAME", "roost \\- pub/sub over WebSockets, event streams and polls, on any number of nodes",
      ".SH SYNOPSIS", ".B roost", ".I COMMAND", "[\\fIARGUMENTS\\fR]",
      ".SH DESCRIPTION",
      "A node holds the connections of clients and their rooms; nodes with the same Redis form a cluster. "
        + "\\fBroost serve\\fR runs a node, the other commands inspect a running cluster, talk to it, or measure it.",
      ".SH COMMANDS",
    ]
    for command in commands {
      lines += [".SS \(escaped("roost \(command.words) \(command.usage)"))", text(command.summary)]
      var group = ""
      for option in command.options {
        if option.group != group {
          group = option.group
          lines += [".PP", "\\fB\(escaped(group))\\fR"]
        }
        let value = option.placeholder.isEmpty ? "" : " \\fI\(escaped(option.placeholder))\\fR"
        lines += [".TP", "\\fB\(escaped(option.flag))\\fR\(value)", text(option.help)]
      }
      if !command.footer.isEmpty { lines += [".PP", text(command.footer)] }
    }
    lines.append(".SH EXIT STATUS")
    for (status, meaning) in statuses { lines += [".TP", "\\fB\(status)\\fR", text(meaning)] }
    return lines.joined(separator: "\n") + "\n"
  }

  private static let statuses: [(Int32, String)] = [
    (ExitStatus.success, "done"),
    (
      ExitStatus.faulty,
      "bench: a message was lost, came twice or out of order; doctor: something that was looked at fails"
    ),
    (ExitStatus.usage, "the command line or a setting is invalid; nothing was done"),
    (ExitStatus.refusedData, "the node refused the request"),
    (ExitStatus.unavailable, "there is no server, or it cannot answer now; serve: a port is taken"),
    (ExitStatus.unexpectedAnswer, "something answered, but not as a Roost node does"),
    (ExitStatus.noPermission, "the token is missing, wrong or not enough"),
  ]

  /// A line of text: one that begins with a dot or a quote would be a request.
  private static func text(_ text: String) -> String {
    let escaped = escaped(text)
    return escaped.hasPrefix(".") || escaped.hasPrefix("'") ? "\\&" + escaped : escaped
  }

  private static func escaped(_ text: String) -> String {
    text.map { $0 == "\\" ? "\\e" : $0 == "-" ? "\\-" : String($0) }.joined()
  }
}
