import JSONCore

/// A table for people: aligned columns, two spaces between them, titles in capitals.
struct TextTable {
  /// A column and the side its cells are aligned to.
  struct Column {
    let title: String
    let isNumber: Bool

    static func text(_ title: String) -> Column { Column(title: title, isNumber: false) }
    static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
  }

  /// The widest cell in characters; a longer one is cut and ends with `…`.
  static let cellCharactersMax = 60

  private let columns: [Column]
  private var rows: [[String]] = []

  init(_ columns: [Column]) { self.columns = columns }

  /// Adds a row with one cell for each column; what could steer a terminal is escaped.
  mutating func append(_ cells: [String]) {
    rows.append(
      cells.map { cell in
        let plain = TerminalText.line(cell)
        return plain.count <= Self.cellCharactersMax ? plain : plain.prefix(Self.cellCharactersMax - 1) + "…"
      })
  }

  /// The lines with the titles first; empty without rows.
  var text: String {
    guard !rows.isEmpty else { return "" }
    let lines = [columns.map(\.title)] + rows
    let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line($0, widths) + "\n" }.joined()
  }

  private func line(_ cells: [String], _ widths: [Int]) -> String {
    var line = ""
    for (index, cell) in cells.enumerated() {
      if index > 0 { line += "  " }
      let padding = String(repeating: " ", count: widths[index] - cell.count)
      line += columns[index].isNumber ? padding + cell : cell + padding
    }
    while line.last == " " { line.removeLast() }
    return line
  }
}
