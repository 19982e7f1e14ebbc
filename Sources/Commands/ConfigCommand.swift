import ClientCore
import Glibc
import JSONCore
import Settings

/// `roost config`: prints the settings that a node would start with, and where each came from.
enum ConfigCommand {
  static func run(_ arguments: [String], _ environment: [String: String], version: String) throws(SettingsError) {
    // The options are those of serve, and one that is no setting.
    let isJSON = arguments.contains("--json")
    let cores = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    switch try SettingsInForce.read(
      arguments: arguments.filter { $0 != "--json" }, environment: environment, coreCount: cores)
    {
    case .help(let text): Output.text(text)
    case .version: Output.text("roost \(version)\n")
    case .settings(let settings):
      if isJSON { Output.json(json(settings)) } else { Output.text(table(settings)) }
    }
  }

  /// The options are those of `roost serve`, which the manual has.
  static var synopsis: CommandSynopsis {
    let command = ClientCommand.config
    return CommandSynopsis(
      words: command.rawValue, usage: command.usage, summary: command.summary, options: ServerSettings.synopsis.options,
      footer: "")
  }

  /// Three columns: the key, its value, and the place of it.
  static func table(_ settings: [SettingInForce]) -> String {
    var table = TextTable([.text("SETTING"), .text("VALUE"), .text("FROM")])
    for setting in settings { table.append([setting.key, setting.value ?? "none", place(setting.origin)]) }
    return table.text
  }

  /// One object with an object for each setting.
  static func json(_ settings: [SettingInForce]) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    for setting in settings {
      writer.key(bytes: Array(setting.key.utf8).span)
      writer.beginObject()
      writer.key("value")
      if let value = setting.value { writer.string(value) } else { writer.null() }
      writer.key("from")
      writer.string(place(setting.origin))
      writer.endObject()
    }
    writer.endObject()
    return writer.finish()
  }

  private static func place(_ origin: SettingInForce.Origin) -> String {
    switch origin {
    case .flag(let flag): flag
    case .variable(let name): name
    case .file(let path): path
    case .standard: "default"
    }
  }
}
