import JSONCore

extension BridgeSettings {
  /// Reads the value of `bridges`. An error names the bridge, counted from 1, and its key, and never the URL.
  static func parse(_ value: JSONValue) -> Result<[BridgeSettings], SettingsError> {
    do throws(SettingsError) {
      let bridges = try list(value, "bridge", max: bridgesMax) { (value) throws(SettingsError) in
        try BridgeSettings(value)
      }
      for (index, bridge) in bridges.enumerated() where bridges[..<index].contains(where: { $0.name == bridge.name }) {
        throw SettingsError(message: "name \"\(bridge.name)\" stands twice; expected another one")
      }
      return .success(bridges)
    } catch {
      return .failure(error)
    }
  }

  /// Reads an array; an error names the element, counted from 1.
  private static func list<Element>(
    _ value: JSONValue, _ what: String, max: Int, _ read: (JSONValue) throws(SettingsError) -> Element
  ) throws(SettingsError) -> [Element] {
    guard let values = value.asArray else { throw SettingsError(message: "expected an array, one object a \(what)") }
    guard values.count <= max else {
      throw SettingsError(message: "has \(values.count) entries; expected at most \(max)")
    }
    var elements: [Element] = []
    for (index, value) in values.enumerated() {
      do throws(SettingsError) { elements.append(try read(value)) } catch {
        throw SettingsError(message: "\(what) \(index + 1): \(error.message)")
      }
    }
    return elements
  }

  private init(_ value: JSONValue) throws(SettingsError) {
    self.init()
    var entry = try BridgeEntry(
      value, keys: ["name", "kind", "url", "in", "out", "group", "sasl", "ca", "cert", "key", "options"])
    name = try entry.text("name", needed: "a name for metrics and the log")
    guard name.utf8.count <= 64, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) })
    else {
      throw SettingsError(
        message: "name is not usable; expected at most 64 letters, digits, dots, dashes or underscores")
    }
    kind = try entry.choice("kind", BridgeKind.self) ?? .kafka
    if entry.value("kind") == nil { throw SettingsError(message: "kind is missing; expected kafka or amqp") }
    let text = try entry.text("url", needed: "\(kind.rawValue)://HOST")
    do throws(SettingsError) { url = try BridgeURL(parsing: text) } catch {
      throw SettingsError(message: "url \(error.message)")
    }
    guard url?.kind == kind else { throw SettingsError(message: "url is not of the kind \(kind.rawValue)") }
    let kind = self.kind
    if let value = entry.value("in") {
      inputs = try Self.list(value, "in", max: Self.routesMax) { (value) throws(SettingsError) in
        try BridgeInput(value, kind)
      }
    }
    if let value = entry.value("out") {
      outputs = try Self.list(value, "out", max: Self.routesMax) { (value) throws(SettingsError) in
        try BridgeOutput(value, kind)
      }
    }
    try readRest(&entry)
    try checkRoutes()
  }

  private mutating func readRest(_ entry: inout BridgeEntry) throws(SettingsError) {
    group = try entry.optionalText("group")
    login = try entry.choice("sasl", BridgeLogin.self) ?? .plain
    authorityPath = try entry.optionalText("ca")
    certificatePath = try entry.optionalText("cert")
    keyPath = try entry.optionalText("key")
    if (certificatePath == nil) != (keyPath == nil) {
      throw SettingsError(message: "cert and key need each other")
    }
    if authorityPath != nil || certificatePath != nil, url?.usesTLS != true {
      throw SettingsError(message: "ca and cert are for TLS; expected \(kind.rawValue)s:// in url")
    }
    if kind == .amqp, group != nil || entry.value("sasl") != nil || entry.value("options") != nil {
      throw SettingsError(message: "group, sasl and options are Kafka's")
    }
    guard let value = entry.value("options") else { return }
    guard let members = value.asObject else {
      throw SettingsError(message: "options: expected an object of strings, by the names of librdkafka")
    }
    for member in members {
      let name = String(decoding: member.key, as: UTF8.self)
      guard let text = member.value.asString else {
        throw SettingsError(message: "options: \(name.prefix(60)) is no string")
      }
      if Self.fixedOptions.contains(name) {
        throw SettingsError(message: "options: \(name) is set by the bridge and cannot be changed")
      }
      options.append(BridgeOption(name: name, value: text))
    }
  }

  private func checkRoutes() throws(SettingsError) {
    if inputs.isEmpty, outputs.isEmpty {
      throw SettingsError(message: "has neither in nor out; expected what it carries")
    }
    for (index, input) in inputs.enumerated() {
      if inputs[..<index].contains(where: { $0.source == input.source }) {
        throw SettingsError(message: "\"\(input.source)\" stands twice in in; expected it once")
      }
      // What goes out would come back in for ever.
      if kind == .kafka, outputs.contains(where: { $0.target == input.source }) {
        throw SettingsError(message: "topic \"\(input.source)\" stands in in and in out: messages would circle")
      }
    }
  }
}

extension BridgeInput {
  fileprivate init(_ value: JSONValue, _ kind: BridgeKind) throws(SettingsError) {
    self.init()
    let sourceKey = kind == .kafka ? "topic" : "queue"
    let entry = try BridgeEntry(value, keys: [sourceKey, "room", "user", "as", "id", "deadLetter"])
    let names = ["key", "id", "topic", "header", "value"]
    source = try entry.text(sourceKey, needed: "where records come from")
    room = try entry.template("room", names)
    if room == nil { throw SettingsError(message: "room is missing; expected a template such as orders:{key}") }
    user = try entry.template("user", names)
    id = try entry.template("id", names)
    deadLetter = try entry.optionalText("deadLetter")
    member = try entry.optionalText("as")
    let reserved = ["type", "room", "user", "offset", "ts", "id", "echo", "ephemeral"]
    if let member, reserved.contains(member) {
      throw SettingsError(message: "as \"\(member)\" is a name of the protocol; expected another one")
    }
    if deadLetterName == source {
      throw SettingsError(message: "deadLetter is the source itself; expected another name")
    }
  }
}

extension BridgeOutput {
  fileprivate init(_ value: JSONValue, _ kind: BridgeKind) throws(SettingsError) {
    self.init()
    let targetKey = kind == .kafka ? "topic" : "exchange"
    let entry = try BridgeEntry(value, keys: ["match", targetKey, "key"])
    match = try entry.text("match", needed: "a glob of rooms such as chat:*")
    target = try entry.text(targetKey, needed: "where messages are written", mayBeEmpty: kind == .amqp)
    key = try entry.template("key", ["room", "user", "value"])
  }
}

/// One object of the settings, its keys checked.
private struct BridgeEntry {
  private let members: [JSONValue.Member]

  init(_ value: JSONValue, keys: [String]) throws(SettingsError) {
    guard let members = value.asObject else {
      throw SettingsError(message: "expected an object with \(keys.joined(separator: ", "))")
    }
    self.members = members
    for (index, member) in members.enumerated() {
      let key = String(decoding: member.key, as: UTF8.self)
      if members[..<index].contains(where: { $0.key == member.key }) {
        throw SettingsError(message: "key \"\(key.prefix(40))\" stands twice; expected it once")
      }
      guard keys.contains(key) else {
        let hint =
          NearMiss.of(key, among: keys).map { "did you mean \($0)?" } ?? "expected \(keys.joined(separator: ", "))"
        throw SettingsError(message: "unknown key \"\(key.prefix(40))\"; \(hint)")
      }
    }
  }

  func value(_ key: String) -> JSONValue? { members.first { $0.key == Array(key.utf8) }?.value }

  func optionalText(_ key: String, mayBeEmpty: Bool = false) throws(SettingsError) -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.asString, mayBeEmpty || !text.isEmpty, text.utf8.count <= 1000,
      !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F })
    else { throw SettingsError(message: "\(key) is not usable; expected a string without control characters") }
    return text
  }

  func text(_ key: String, needed: String, mayBeEmpty: Bool = false) throws(SettingsError) -> String {
    guard let text = try optionalText(key, mayBeEmpty: mayBeEmpty) else {
      throw SettingsError(message: "\(key) is missing; expected \(needed)")
    }
    return text
  }

  func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type
  ) throws(SettingsError) -> Choice? where Choice.RawValue == String {
    guard let text = try optionalText(key) else { return nil }
    guard let choice = Choice(rawValue: text) else {
      let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw SettingsError(message: "\(key) is unknown; expected \(words)")
    }
    return choice
  }

  func template(_ key: String, _ names: [String]) throws(SettingsError) -> BridgeTemplate? {
    guard let text = try optionalText(key) else { return nil }
    do throws(SettingsError) { return try BridgeTemplate(parsing: text, names: names) } catch {
      throw SettingsError(message: "\(key) \(error.message)")
    }
  }
}

extension BridgeSettings {
  /// What of the other settings does not go with bridges; nil: nothing.
  static func contradiction(_ bridges: [BridgeSettings], hasRedis: Bool) -> String? {
    guard !bridges.isEmpty, !hasRedis else { return nil }
    return
      "bridges needs --redis: the nodes of a cluster share a bridge through Redis, and this node has its embedded broker"
  }
}
