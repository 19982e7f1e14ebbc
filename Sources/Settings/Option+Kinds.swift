extension Option {
  /// Makes an option that stands alone, such as `--json`.
  public static func flag(_ key: String, _ path: WritableKeyPath<Target, Bool> & Sendable, _ help: String) -> Self {
    Self(key, form: .flag, placeholder: "", help: help, defaultText: { _ in nil }) { target, text in
      assignToggle(&target, path, text)
    }
  }

  /// Makes an option that is on or off.
  public static func toggle(_ key: String, _ path: WritableKeyPath<Target, Bool> & Sendable, _ help: String) -> Self {
    Self(
      key, form: .toggle, placeholder: "[on|off]", help: help,
      defaultText: { $0[keyPath: path] ? "on" : "off" }
    ) { target, text in
      assignToggle(&target, path, text)
    }
  }

  /// Makes an option that is on or off, with a default that `whenUnset` describes.
  public static func toggle(
    _ key: String, _ path: WritableKeyPath<Target, Bool?> & Sendable, whenUnset: String, _ help: String
  ) -> Self {
    Self(
      key, form: .toggle, placeholder: "[on|off]", help: help,
      defaultText: { $0[keyPath: path].map { $0 ? "on" : "off" } ?? whenUnset }
    ) { target, text in
      guard let value = Quantity.toggle(text) else { return "is neither on nor off; expected on, off, true or false" }
      target[keyPath: path] = value
      return nil
    }
  }

  /// Makes an option whose value is a whole number.
  public static func integer(
    _ key: String, _ path: WritableKeyPath<Target, Int> & Sendable, _ range: ClosedRange<Int>, _ help: String
  ) -> Self {
    Self(
      key, form: .integer, placeholder: "NUMBER", help: help, defaultText: { "\($0[keyPath: path])" }
    ) { target, text in
      assignInteger(text, range) { target[keyPath: path] = $0 }
    }
  }

  /// Makes an option whose value is a whole number, with a default that `whenUnset` describes.
  public static func integer(
    _ key: String, _ path: WritableKeyPath<Target, Int?> & Sendable, _ range: ClosedRange<Int>,
    whenUnset: String, _ help: String
  ) -> Self {
    Self(key, form: .integer, placeholder: "NUMBER", help: help, defaultText: { _ in whenUnset }) { target, text in
      assignInteger(text, range) { target[keyPath: path] = $0 }
    }
  }

  /// Makes an option whose value is a part of a whole: 0, 0.01, 1.
  public static func share(_ key: String, _ path: WritableKeyPath<Target, Double> & Sendable, _ help: String) -> Self {
    Self(
      key, form: .decimal, placeholder: "NUMBER", help: help,
      defaultText: { Quantity.text(decimal: $0[keyPath: path]) }
    ) { target, text in
      guard let value = Quantity.decimal(text) else { return "is no number; expected one from 0 to 1 such as 0.01" }
      guard (0...1).contains(value) else { return "is out of range; expected 0 to 1" }
      target[keyPath: path] = value
      return nil
    }
  }

  /// Makes an option whose value is a duration, kept in milliseconds.
  public static func duration(
    _ key: String, _ path: WritableKeyPath<Target, Int> & Sendable, _ range: ClosedRange<Int>, _ help: String
  ) -> Self {
    Self(
      key, form: .text, placeholder: "DURATION", help: help,
      defaultText: { Quantity.text(milliseconds: $0[keyPath: path]) }
    ) { target, text in
      let limits =
        "\(Quantity.text(milliseconds: range.lowerBound)) to \(Quantity.text(milliseconds: range.upperBound))"
      guard let value = Quantity.milliseconds(text) else {
        if Quantity.integer(text) != nil {
          return "has no unit; expected a number with ms, s, m, h or d, from \(limits)"
        }
        return "is not a duration; expected one such as 500ms, 30s, 5m, 1h or 7d, from \(limits)"
      }
      guard range.contains(value) else { return "is out of range; expected \(limits)" }
      target[keyPath: path] = value
      return nil
    }
  }

  /// Makes an option whose value is a size, kept in bytes.
  public static func size(
    _ key: String, _ path: WritableKeyPath<Target, Int> & Sendable, _ range: ClosedRange<Int>, _ help: String
  ) -> Self {
    Self(
      key, form: .size, placeholder: "SIZE", help: help, defaultText: { Quantity.text(bytes: $0[keyPath: path]) }
    ) { target, text in
      assignSize(text, range) { target[keyPath: path] = $0 }
    }
  }

  /// Makes an option whose value is a size, kept in bytes, with a default that `whenUnset` describes.
  public static func size(
    _ key: String, _ path: WritableKeyPath<Target, Int?> & Sendable, _ range: ClosedRange<Int>,
    whenUnset: String, _ help: String
  ) -> Self {
    Self(key, form: .size, placeholder: "SIZE", help: help, defaultText: { _ in whenUnset }) { target, text in
      assignSize(text, range) { target[keyPath: path] = $0 }
    }
  }

  /// Makes an option with a few words to choose from.
  public static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
    _ key: String, _ path: WritableKeyPath<Target, Choice> & Sendable, _ help: String
  ) -> Self where Choice.RawValue == String {
    let words = Choice.allCases.map(\.rawValue)
    return Self(
      key, form: .text, placeholder: words.joined(separator: "|"), help: help,
      defaultText: { $0[keyPath: path].rawValue }
    ) { target, text in
      guard let choice = Choice(rawValue: text) else { return "is unknown; expected \(words.joined(separator: ", "))" }
      target[keyPath: path] = choice
      return nil
    }
  }

  /// Makes an option whose value is text that `problem` finds nothing wrong with; empty text is refused.
  public static func text(
    _ key: String, _ path: WritableKeyPath<Target, String?> & Sendable, _ placeholder: String, _ help: String,
    whenUnset: String? = nil, problem: @escaping @Sendable (String) -> String? = { _ in nil }
  ) -> Self {
    Self(
      key, form: .text, placeholder: placeholder, help: help, defaultText: { $0[keyPath: path] ?? whenUnset }
    ) { target, text in
      if let problem = textProblem(text) ?? problem(text) { return problem }
      target[keyPath: path] = text
      return nil
    }
  }

  /// Makes an option whose value is text with a default.
  public static func text(
    _ key: String, _ path: WritableKeyPath<Target, String> & Sendable, _ placeholder: String, _ help: String,
    problem: @escaping @Sendable (String) -> String? = { _ in nil }
  ) -> Self {
    Self(
      key, form: .text, placeholder: placeholder, help: help, defaultText: { $0[keyPath: path] }
    ) { target, text in
      if let problem = textProblem(text) ?? problem(text) { return problem }
      target[keyPath: path] = text
      return nil
    }
  }

  /// Makes an option whose value is a list of words separated by commas; `problem` judges each.
  public static func list(
    _ key: String, _ path: WritableKeyPath<Target, [String]> & Sendable, _ placeholder: String, _ help: String,
    whenUnset: String? = nil, problem: @escaping @Sendable (String) -> String? = { _ in nil }
  ) -> Self {
    Self(
      key, form: .list, placeholder: placeholder, help: help,
      defaultText: { $0[keyPath: path].isEmpty ? whenUnset : $0[keyPath: path].joined(separator: ",") }
    ) { target, text in
      var words: [String] = []
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let word = String(part.trimmingSpaces())
        if let problem = textProblem(word) ?? problem(word) { return problem }
        words.append(word)
      }
      target[keyPath: path] = words
      return nil
    }
  }

  /// Makes an option whose value is a list of values separated by commas, each parsed once by `parse`, which returns
  /// what is wrong as the rest of a sentence.
  public static func values<Value: Sendable & CustomStringConvertible>(
    _ key: String, _ path: WritableKeyPath<Target, [Value]> & Sendable, _ placeholder: String, _ help: String,
    whenUnset: String, parse: @escaping @Sendable (String) -> Result<Value, SettingsError>
  ) -> Self {
    Self(
      key, form: .list, placeholder: placeholder, help: help,
      defaultText: {
        $0[keyPath: path].isEmpty ? whenUnset : $0[keyPath: path].map(\.description).joined(separator: ",")
      }
    ) { target, text in
      var values: [Value] = []
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let word = String(part.trimmingSpaces())
        if let problem = textProblem(word) { return problem }
        switch parse(word) {
        case .success(let value): values.append(value)
        case .failure(let error): return error.message
        }
      }
      target[keyPath: path] = values
      return nil
    }
  }

  private static func assignToggle(
    _ target: inout Target, _ path: WritableKeyPath<Target, Bool>, _ text: String
  ) -> String? {
    guard let value = Quantity.toggle(text) else { return "is neither on nor off; expected on, off, true or false" }
    target[keyPath: path] = value
    return nil
  }

  private static func assignInteger(
    _ text: String, _ range: ClosedRange<Int>, _ store: (Int) -> Void
  ) -> String? {
    let limits = "\(range.lowerBound) to \(range.upperBound)"
    guard let value = Quantity.integer(text) else { return "is not a whole number; expected \(limits)" }
    guard range.contains(value) else { return "is out of range; expected \(limits)" }
    store(value)
    return nil
  }

  private static func assignSize(_ text: String, _ range: ClosedRange<Int>, _ store: (Int) -> Void) -> String? {
    let limits = "\(Quantity.text(bytes: range.lowerBound)) to \(Quantity.text(bytes: range.upperBound))"
    guard let value = Quantity.bytes(text) else {
      return "is not a size; expected bytes or a number with k, m or g, from \(limits)"
    }
    guard range.contains(value) else { return "is out of range; expected \(limits)" }
    store(value)
    return nil
  }

  /// Refuses what no setting can mean: nothing at all, or control characters that would tear a log line or a header.
  private static func textProblem(_ text: String) -> String? {
    if text.isEmpty { return "is empty; expected some text" }
    if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return "contains a control character" }
    return nil
  }
}

extension Substring {
  fileprivate func trimmingSpaces() -> Substring {
    var rest = self
    while rest.first == " " { rest.removeFirst() }
    while rest.last == " " { rest.removeLast() }
    return rest
  }
}
