import Realtime

/// Asks the nodes of the cluster what each has in memory, by the questions that nodes have for each other. Confined to the loop
/// that created it.
final class ClusterReads {
  /// Nodes that one read asks: each answer goes through Redis. The read names those that it left out.
  static let nodesMax = 64
  /// Milliseconds for an answer: it is made from memory, and an operator waits for it.
  static let milliseconds = 2_000

  /// What became of a question.
  struct Answers {
    /// The nodes that have answered, ascending, each with its answer.
    var answered: [(node: [UInt8], bytes: [UInt8])] = []
    /// The nodes that have not, or were not asked, ascending.
    var missing: [[UInt8]] = []
    /// Whether other nodes may be there that are not known, because the broker is out of reach.
    var isAlone = false
  }

  private let hub: Hub
  private let broker: any Broker
  private let answerHere: (NodeQuestion) -> [UInt8]

  /// - Parameter answer: answers for this node.
  init(hub: Hub, broker: any Broker, answer: @escaping (NodeQuestion) -> [UInt8]) {
    (self.hub, self.broker, answerHere) = (hub, broker, answer)
  }

  /// Answers another node; nil: it is no question of an admin endpoint.
  func answer(_ bytes: [UInt8]) -> [UInt8]? { NodeQuestion(bytes).map(answerHere) }

  /// Asks all nodes. Calls back once, at once or later. While the broker is out of reach this node alone answers.
  func askAll(_ question: NodeQuestion, _ done: @escaping (Answers) -> Void) {
    broker.nodes { [self] result in
      guard case .success(let nodes) = result else {
        return done(Answers(answered: [(hub.configuration.nodeID, answerHere(question))], isAlone: true))
      }
      ask(Set(nodes.map(\.id)).union([hub.configuration.nodeID]), question, done)
    }
  }

  /// Asks one node, if the cluster has it. Calls back once with its answer, or nil.
  func ask(_ node: [UInt8], _ question: NodeQuestion, _ done: @escaping ([UInt8]?) -> Void) {
    guard node != hub.configuration.nodeID else { return done(answerHere(question)) }
    broker.ask(node: node, question.encoded, withinMilliseconds: ClusterReads.milliseconds) { answer in
      guard case .answered(let bytes) = answer, let answer = ConnectionAnswer(bytes), answer.status == 200 else {
        return done(nil)
      }
      done(answer.body)
    }
  }

  private func ask(_ nodes: Set<[UInt8]>, _ question: NodeQuestion, _ done: @escaping (Answers) -> Void) {
    let own = hub.configuration.nodeID
    let others = nodes.subtracting([own]).sorted { $0.lexicographicallyPrecedes($1) }
    let asked = [own] + others.prefix(ClusterReads.nodesMax - 1)
    var answers = Answers(missing: Array(others.dropFirst(ClusterReads.nodesMax - 1)))
    var left = asked.count
    for node in asked {
      ask(node, question) { bytes in
        if let bytes { answers.answered.append((node, bytes)) } else { answers.missing.append(node) }
        left -= 1
        guard left == 0 else { return }
        answers.answered.sort { $0.node.lexicographicallyPrecedes($1.node) }
        answers.missing.sort { $0.lexicographicallyPrecedes($1) }
        done(answers)
      }
    }
  }
}
