import RoostServer

/// A price ticker: publishes a price for each symbol, a few times a second, and answers what a symbol costs now. Clients
/// join `price:AAA` or the wildcard `price:*`; they may not publish.
@main
struct Ticker {
  struct Quote: Codable, Sendable { let symbol: String, price: Double }

  static func main() async throws {
    let market = Market()
    var configuration = RoostNode.Configuration(settings: [
      "host": "127.0.0.1", "port": CommandLine.arguments.dropFirst().first ?? "8080",
    ])
    configuration.forbid = { attempt, _ in
      if case .read = attempt { nil } else { "prices are read only" }
    }
    configuration.requests["quote"] = { request in
      guard let symbol = try request.payload?.decode(String.self), let price = await market.price(of: symbol) else {
        throw RequestError(.notFound, "no such symbol; there are AAA, BBB and CCC")
      }
      return try JSON(encoding: Quote(symbol: symbol, price: price))
    }
    let node = try await RoostNode.start(configuration)
    while true {
      for quote in await market.move() { try await node.publish(JSON(encoding: quote), in: "price:\(quote.symbol)") }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  /// Prices that wander.
  actor Market {
    private var prices = ["AAA": 100.0, "BBB": 20.0, "CCC": 3.0]

    func price(of symbol: String) -> Double? { prices[symbol] }

    func move() -> [Quote] {
      for symbol in prices.keys { prices[symbol]? *= Double.random(in: 0.99...1.01) }
      return prices.map { Quote(symbol: $0.key, price: $0.value) }
    }
  }
}
