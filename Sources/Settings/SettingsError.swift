/// Says in one line what is wrong with a setting and what is accepted; never contains a secret.
public struct SettingsError: Error, Equatable, CustomStringConvertible {
  /// One line for people.
  public let message: String

  /// Makes an error from its line.
  public init(message: String) {
    self.message = message
  }

  /// The message.
  public var description: String { message }
}
