import Testing

@testable import Realtime

@Suite("What users say about themselves, as a node keeps it")
struct PresenceStateTests {
  private let ann = Array("ann".utf8)
  private let presence = RoomPresence()

  private func note(_ state: String, isSaid: Bool) {
    presence.noteState(Array(state.utf8).span, of: ann, isSaid: isSaid, isOwn: false)
  }

  private var own: String? { presence.ownState(of: ann).map { String(decoding: $0, as: UTF8.self) } }

  @Test("is kept when a read of an emptied broker shows nothing of it: it is still to be asserted")
  func emptied() {
    presence.keep(Array(#""x""#.utf8), of: ann)
    note(#""x""#, isSaid: true)
    note("null", isSaid: false)
    #expect(own == #""x""#)
    #expect(presence.hasAnnounced(nil, of: ann))
  }

  @Test("follows what is said last, also after it was taken back, while the user is here")
  func takenBack() {
    note(#""w""#, isSaid: true)
    #expect(own == nil)
    presence.keep(Array(#""x""#.utf8), of: ann)
    note("null", isSaid: true)
    #expect(own == nil)
    note(#""y""#, isSaid: true)
    #expect(own == #""y""#)
    presence.forgetOwnState(of: ann)
    note(#""z""#, isSaid: true)
    #expect(own == nil)
  }

  @Test("is forgotten when the user has left before it was acknowledged", arguments: [false, true])
  func left(isBackAtOnce: Bool) {
    let bench = HubBench()
    bench.broker.losesNotices = true
    let client = bench.open("ann")
    client.send(#"{"type":"join","room":"r"}"#)
    bench.broker.isQueuing = true
    client.post(#"{"type":"state","room":"r","state":"x"}"#)
    client.post(#"{"type":"leave","room":"r"}"#)
    if !isBackAtOnce { bench.exchangeAll {} }
    client.post(#"{"type":"join","room":"r"}"#)
    bench.exchangeAll {}
    #expect(bench.broker.presence == ["ann": ""])
    bench.broker.flush()
    bench.exchangeAll {}
    #expect(bench.broker.presence == ["ann": ""])
  }
}
