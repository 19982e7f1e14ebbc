import TestSupport

extension Participant {
  /// A message that was not acked yet. Its id is its body.
  struct Outstanding {
    let room: String
    /// When it is sent again.
    var sendAt: Int
    /// When it was sent last without any answer; nil while it waits to be sent.
    var sentAt: Int?
  }

  /// Messages that wait for an ack at most.
  private static let outstandingMax = 40
  /// Milliseconds without an answer after which a message is sent again on the same connection, and after which the
  /// client takes its connection for dead.
  private static let repeatAfter = 2500
  private static let giveUpAfter = 7000

  func publishAndRepeat() {
    if let every = habits.publishEvery, !isCalm, now >= nextPublishAt, outstanding.count < Participant.outstandingMax {
      nextPublishAt = now + Int.random(in: (every / 2)...(every * 3 / 2), using: &random)
      publishNext()
    }
    for (body, message) in outstanding where rooms[message.room] == .present {
      if let sentAt = message.sentAt, now > sentAt + Participant.giveUpAfter { return cut(why: "no ack") }
      if now >= message.sendAt { transmit(body, message.room) }
    }
  }

  private func publishNext() {
    guard let room = habits.rooms.randomElement(using: &random), rooms[room] == .present else { return }
    published += 1
    let body = "\(name)-\(published)"
    note(.sent(room: room, body: body, echo: habits.echo))
    outstanding[body] = Outstanding(room: room, sendAt: now, sentAt: nil)
  }

  private func transmit(_ body: String, _ room: String) {
    outstanding[body]?.sendAt = now + Participant.repeatAfter
    if outstanding[body]?.sentAt == nil { outstanding[body]?.sentAt = now }
    let echo = habits.echo ? #","echo":true"# : ""
    peer?.send(#"{"type":"message","room":"\#(room)","id":"\#(body)","body":"\#(body)"\#(echo)}"#)
  }

  /// Sends again what a room's other connection may not have brought through.
  func repeatAll(in room: String) {
    for (body, message) in outstanding where message.room == room {
      outstanding[body]?.sendAt = now
      outstanding[body]?.sentAt = nil
    }
  }

  func takeAck(_ text: Received) {
    guard let body = text.string("id"), let room = text.string("room"), let epoch = text.string("epoch"),
      let offset = text.int("offset")
    else { return note(.nonsense("no ack: \(text)")) }
    note(.acked(room: room, body: body, Place(epoch: epoch, offset: offset)))
    outstanding[body] = nil
  }
}
