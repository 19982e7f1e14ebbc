import Settings

/// The warnings about a node's configuration: those of its settings, and those that its clients have brought to light.
final class ConfigurationWarnings {
  private static let unnamedProxy =
    "X-Forwarded-For from a peer that --trusted-proxies does not name: ignored, so that all clients behind it count as one"

  private let settings: ServerSettings
  private let table: ConnectionTable
  private let log: Log
  private var hasUnnamedProxy = false
  private var hasLoggedIdleLimits = false

  init(_ settings: ServerSettings, _ table: ConnectionTable, _ log: Log) {
    self.settings = settings
    self.table = table
    self.log = log
  }

  /// Every warning, as a sentence.
  var all: [String] {
    SecurityWarnings.warnings(settings) + (hasUnnamedProxy ? [ConfigurationWarnings.unnamedProxy] : [])
      + (idleLimits.map { [$0] } ?? [])
  }

  /// Logs, once each, what the clients have brought to light.
  func logNew() {
    if !hasUnnamedProxy, let address = table.unnamedProxy {
      hasUnnamedProxy = true
      log.warn(ConfigurationWarnings.unnamedProxy, ("address", String(decoding: address, as: UTF8.self)))
    }
    if !hasLoggedIdleLimits, let warning = idleLimits {
      hasLoggedIdleLimits = true
      log.warn(warning)
    }
  }

  /// Set while limits that spare private addresses have applied to no client.
  private var idleLimits: String? {
    table.clientOrigins.areAllLocal ? SecurityWarnings.idleLimits(settings, table.clientOrigins) : nil
  }
}
