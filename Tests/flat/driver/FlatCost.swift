import ClientProtocol
import Realtime

/// Drives a hub over the embedded broker, without sockets, so that a profiler can count what an operation costs.
///
///     flatcost fanout MEMBERS TIMES | join MEMBERS TIMES | tick ROOMS TIMES | idle CONNECTIONS TIMES |
///     wildcard ROOMS TIMES
///
/// What comes before is not to be counted: only what `measured` does is (callgrind's `--toggle-collect`).
@main
enum FlatCost {
  static func main() {
    let words = CommandLine.arguments
    guard words.count == 4, let size = Int(words[2]), let times = Int(words[3]), size >= 0, times >= 0 else {
      fatalError("usage: flatcost fanout|join|tick|idle|wildcard SIZE TIMES")
    }
    let bench = Bench()
    switch words[1] {
    case "fanout": bench.fanOut(members: size, times: times)
    case "join": bench.joinAndLeave(members: size, times: times)
    case "tick": bench.tick(idleRooms: size, times: times)
    case "idle": bench.publish(besideIdle: size, times: times)
    case "wildcard": bench.comeAndGo(wildcardsBeside: size, times: times)
    default: fatalError("no such cost: \(words[1])")
    }
    // Read at the end, so that no delivery can be optimised away.
    print("\(words[1]) \(size) \(times): \(bench.deliveredCount) delivered, \(bench.sentCount) answered")
  }
}

/// A hub whose delivery only counts.
private final class Bench: SessionTransport {
  private(set) var deliveredCount = 0
  private(set) var sentCount = 0
  private let hub: Hub
  private let broker: EmbeddedBroker
  private let clock: StillClock
  private var nextTarget: UInt32 = 0

  init() {
    let node = Array("n1".utf8)
    let clock = StillClock()
    self.clock = clock
    broker = EmbeddedBroker(
      nodeID: node, historySize: 100, historyMilliseconds: 300_000, epochSeed: 1, clock: { clock.milliseconds })
    hub = Hub(HubConfiguration(nodeID: node), broker: broker, clock: { clock.milliseconds })
    for format in WireFormat.allCases { hub.transports[format] = self }
  }

  func fanOut(members: Int, times: Int) {
    fill("r", members: members)
    let publisher = open("publisher")
    send(#"{"type":"join","room":"r"}"#, from: publisher)
    measured(times) { send(#"{"type":"message","room":"r","text":"hello"}"#, from: publisher) }
  }

  /// The user is in the room already with another session: else all members are told, which is a fan-out.
  func joinAndLeave(members: Int, times: Int) {
    fill("r", members: members)
    let (resident, guest) = (open("guest"), open("guest"))
    send(#"{"type":"join","room":"r"}"#, from: resident)
    measured(times) {
      send(#"{"type":"join","room":"r"}"#, from: guest)
      send(#"{"type":"leave","room":"r"}"#, from: guest)
    }
  }

  /// One session keeps a hundred rooms at most, so as not to measure its own limit.
  func tick(idleRooms: Int, times: Int) {
    fill(idleRooms: idleRooms)
    publishBetweenTwo(times: times)
  }

  /// A wildcard that matches every room begins and ends.
  func comeAndGo(wildcardsBeside idleRooms: Int, times: Int) {
    fill(idleRooms: idleRooms)
    let guest = open("guest")
    measured(times) {
      send(#"{"type":"join","room":"idle*"}"#, from: guest)
      send(#"{"type":"leave","room":"idle*"}"#, from: guest)
      clock.milliseconds += 60_000
      hub.expire()
    }
  }

  private func fill(idleRooms: Int) {
    for index in stride(from: 0, to: idleRooms, by: 100) {
      let session = open("u\(index)")
      for room in index..<min(index + 100, idleRooms) { send(#"{"type":"join","room":"idle\#(room)"}"#, from: session) }
    }
  }

  func publish(besideIdle connections: Int, times: Int) {
    fill("elsewhere", members: connections)
    publishBetweenTwo(times: times)
  }

  private func publishBetweenTwo(times: Int) {
    let (ann, bob) = (open("ann"), open("bob"))
    for session in [ann, bob] { send(#"{"type":"join","room":"r"}"#, from: session) }
    measured(times) {
      send(#"{"type":"message","room":"r","text":"hello"}"#, from: ann)
      hub.expire()
      broker.expire()
    }
  }

  /// The first time makes what the others reuse.
  private func measured(_ times: Int, _ operation: () -> Void) {
    operation()
    countedLoop(times, operation)
  }

  private func fill(_ room: String, members: Int) {
    for index in 0..<members {
      let session = open("m\(index)")
      send(#"{"type":"join","room":"\#(room)"}"#, from: session)
    }
  }

  private func open(_ user: String) -> SlabID {
    nextTarget += 1
    return hub.open(
      SessionRequest(
        connection: nextTarget, format: .webSocket, transport: .websocket, address: Array("127.0.0.1".utf8),
        user: Array(user.utf8)))
  }

  /// One operation, then the end of its tick.
  private func send(_ text: String, from session: SlabID) {
    let bytes = Array(text.utf8)
    hub.receive(text: bytes.span, from: session)
    repeat { hub.flush() } while hub.hasWork
  }

  // MARK: SessionTransport

  func rostersChanged(of target: UInt32, by change: Int32) {}

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    // Every member is looked at once, as the connections' own delivery does.
    for member in roster where batch.entries.first?.origin?.index != member.session { deliveredCount += 1 }
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) { sentCount += 1 }

  func pauseReading(_ target: UInt32) {}
  func resumeReading(_ target: UInt32) {}
  func close(_ target: UInt32, because reason: CloseReason) {}
}

/// Moves only when it is moved, so that no run depends on how long it takes.
private final class StillClock {
  var milliseconds: UInt64 = 1_700_000_000_000
}

/// The function whose instructions are counted, by its name.
@inline(never)
private func countedLoop(_ times: Int, _ operation: () -> Void) {
  for _ in 0..<times { operation() }
}
