extension ServerSettings {
  /// Finds environment variables that begin with `ROOST_` and that nothing reads: a slip, or a setting of another version.
  ///
  /// - Parameter others: names that are read elsewhere: by other commands, by workers.
  /// - Returns: one sentence for each, in the order of the names, without a value.
  public static func unknownVariables(in environment: [String: String], others: [String]) -> [String] {
    let readable = table.options.filter(\.reach.includesEnvironment).map(\.variable)
    let known = Set(readable + others)
    return environment.keys.sorted().compactMap { name in
      guard name.hasPrefix("ROOST_"), !known.contains(name), let value = environment[name], !value.isEmpty,
        !isServiceLink(name, value)
      else { return nil }
      let shown = OptionTable<ServerSettings>.shortened(name)
      if let option = table.options.first(where: { $0.variable == name }) {
        let place = option.reach.includesFile ? "the key \(option.key) of the settings file" : "the flag \(option.flag)"
        return "the environment variable \(shown) is ignored: only \(place) sets this"
      }
      let hint = NearMiss.question(name, among: readable) ?? "roost serve --help lists all settings"
      return "unknown environment variable \(shown) is ignored; \(hint)"
    }
  }

  /// Whether Kubernetes or Docker has set the variable for a service whose name begins with roost.
  private static func isServiceLink(_ name: String, _ value: String) -> Bool {
    name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || value.hasPrefix("tcp://")
      || value.hasPrefix("udp://") || name.contains("_PORT_")
  }
}
