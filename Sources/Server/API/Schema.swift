import JSONCore

/// What a JSON value must look like: the part of JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1) that the HTTP API
/// is described with. Pure.
indirect enum Schema: Sendable {
  /// Any value.
  case any
  case null
  case bool
  /// A whole number from `min`; `max` nil: without an upper end.
  case integer(min: Int, max: Int?)
  /// Text of so many characters that fits a regular expression (ECMA-262).
  case string(min: Int = 0, max: Int? = nil, pattern: String? = nil)
  /// One of several strings.
  case choice([String])
  case array(Schema, min: Int = 0, max: Int? = nil)
  case object(ObjectSchema)
  case anyOf([Schema])
  /// One that the document states once, under its name.
  case named(SchemaName)
  /// A schema with a sentence about what the value means.
  case described(Schema, String)

  /// A closed object: other members are refused.
  static func closed(_ members: [ObjectSchema.Member], exactlyOneOf choices: [String] = []) -> Schema {
    .object(ObjectSchema(members: members, others: .refused, choices: choices))
  }

  /// An object that may have further members: what the server sends may grow.
  static func open(_ members: [ObjectSchema.Member]) -> Schema {
    .object(ObjectSchema(members: members, others: .allowed, choices: []))
  }
}

/// What the members of an object must look like.
struct ObjectSchema: Sendable {
  /// One member that is known.
  struct Member: Sendable {
    let name: String
    let schema: Schema
    let isRequired: Bool

    static func required(_ name: String, _ schema: Schema) -> Member {
      Member(name: name, schema: schema, isRequired: true)
    }

    static func optional(_ name: String, _ schema: Schema) -> Member {
      Member(name: name, schema: schema, isRequired: false)
    }
  }

  /// What may stand beside the known members.
  enum Others: Sendable {
    case refused
    case allowed
    /// Anything but these names.
    case allowedExcept([String])
  }

  let members: [Member]
  let others: Others
  /// Of these members exactly one must stand; empty: no such rule.
  let choices: [String]
}

extension Schema {
  /// What the members of an object must look like; nil: it is no object.
  var object: ObjectSchema? {
    switch self {
    case .object(let object): object
    case .named(let name): name.schema.object
    case .described(let schema, _): schema.object
    default: nil
    }
  }

  /// Writes it as JSON.
  func write(to writer: inout JSONWriter) {
    if case .described(let schema, let text) = self, case .named = schema {
      // Beside a reference a description is allowed since draft 2019-09.
      writer.beginObject()
      writer.member("$ref", schema.reference)
      writer.member("description", text)
      return writer.endObject()
    }
    writer.beginObject()
    writeMembers(to: &writer)
    writer.endObject()
  }

  private var reference: String {
    if case .named(let name) = self { "#/components/schemas/\(name.rawValue)" } else { "" }
  }

  private func writeMembers(to writer: inout JSONWriter) {
    switch self {
    case .any: break
    case .null: writer.member("type", "null")
    case .bool: writer.member("type", "boolean")
    case .integer(let min, let max):
      writer.member("type", "integer")
      writer.member("minimum", min)
      if let max { writer.member("maximum", max) }
    case .string(let min, let max, let pattern):
      writer.member("type", "string")
      if min > 0 { writer.member("minLength", min) }
      if let max { writer.member("maxLength", max) }
      if let pattern { writer.member("pattern", pattern) }
    case .choice(let words):
      writer.member("type", "string")
      writer.key("enum")
      writer.strings(words)
    case .array(let element, let min, let max):
      writer.member("type", "array")
      writer.key("items")
      element.write(to: &writer)
      if min > 0 { writer.member("minItems", min) }
      if let max { writer.member("maxItems", max) }
    case .object(let object): object.writeMembers(to: &writer)
    case .anyOf(let schemas):
      writer.key("anyOf")
      writer.beginArray()
      for schema in schemas { schema.write(to: &writer) }
      writer.endArray()
    case .named: writer.member("$ref", reference)
    case .described(let schema, let text):
      schema.writeMembers(to: &writer)
      writer.member("description", text)
    }
  }
}

extension ObjectSchema {
  fileprivate func writeMembers(to writer: inout JSONWriter) {
    writer.member("type", "object")
    if !members.isEmpty {
      writer.key("properties")
      writer.beginObject()
      for member in members {
        writer.key(named: member.name)
        member.schema.write(to: &writer)
      }
      writer.endObject()
    }
    let required = members.filter(\.isRequired).map(\.name)
    if !required.isEmpty {
      writer.key("required")
      writer.strings(required)
    }
    switch others {
    case .allowed: break
    case .refused:
      writer.key("additionalProperties")
      writer.bool(false)
    case .allowedExcept(let names):
      writer.key("propertyNames")
      writer.beginObject()
      writer.key("not")
      writer.beginObject()
      writer.key("enum")
      writer.strings(names)
      writer.endObject()
      writer.endObject()
    }
    guard !choices.isEmpty else { return }
    writer.key("oneOf")
    writer.beginArray()
    for name in choices {
      writer.beginObject()
      writer.key("required")
      writer.strings([name])
      writer.endObject()
    }
    writer.endArray()
  }
}

extension JSONWriter {
  /// Writes a key that is no literal.
  mutating func key(named name: String) { key(bytes: Array(name.utf8).span) }

  /// Writes a member with a string.
  mutating func member(_ name: StaticString, _ value: String) {
    key(name)
    string(value)
  }

  /// Writes a member with a whole number.
  mutating func member(_ name: StaticString, _ value: Int) {
    key(name)
    integer(value)
  }

  /// Writes an array of strings.
  mutating func strings(_ values: [String]) {
    beginArray()
    for value in values { string(value) }
    endArray()
  }
}
