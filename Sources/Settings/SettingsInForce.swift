/// The settings that a node would start with, and where each came from: what `roost config` prints.
public enum SettingsInForce {
  /// What the command line of `roost config` asks for.
  public enum Listed: Sendable {
    case settings([SettingInForce])
    case help(String)
    case version
  }

  /// Lists every setting with its value and where the value came from, for a node that was started with these arguments;
  /// settings that would stop the start are an error here, too.
  public static func read(
    arguments: [String], environment: [String: String], coreCount: Int,
    readFile: (String) -> Result<[UInt8], SettingsError> = SettingsFile.read
  ) throws(SettingsError) -> Listed {
    var file: (name: String, bytes: [UInt8])?
    let parsed = try ServerSettings.parse(
      arguments: arguments, environment: environment, coreCount: coreCount, table: listing
    ) { path in
      let read = readFile(path)
      if case .success(let bytes) = read { file = (path, bytes) }
      return read
    }
    switch parsed {
    case .help(let text): return .help(text)
    case .version: return .version
    case .serve: break
    }
    guard case .list(let list) = try listing.read(arguments) else { return .version }
    return .settings(
      listing.inForce(list, environment: environment, file: file, defaults: ServerSettings()))
  }

  /// The options of `roost config`: those of the node that it describes.
  private static var listing: OptionTable<ServerSettings> {
    OptionTable(
      command: "roost config", usage: "[--json] [OPTIONS]",
      summary:
        "Prints every setting of a node with its value and where the value came from; secrets, also those in URLs, as ***. "
        + "--json prints one JSON object. The options are those of roost serve, whose settings it prints.",
      options: ServerSettings.table.options)
  }
}
