/// Which epochs go on under another name, as clients were told: a place has the name that it had first.
struct Lineages {
  private struct Name: Hashable {
    let room: String
    let epoch: String
  }

  /// The epoch that another one continues, and the last offset at which both have the same message.
  private var parents: [Name: Place] = [:]

  init(_ records: [Record]) {
    for record in records {
      switch record.fact {
      case .continued(let room, let epoch, let place):
        adopt(Place(epoch: epoch, offset: place.offset), place.epoch, room)
      case .joined(let room, let place, let since?, true) where since.epoch != place.epoch:
        adopt(since, place.epoch, room)
      default: break
      }
    }
  }

  /// Notes that an epoch goes on from a place. Of two such places the later one is in an epoch that goes on from the earlier
  /// one, too, even when nobody was told so: it lasted while no client that is judged was there.
  private mutating func adopt(_ end: Place, _ epoch: String, _ room: String) {
    let name = Name(room: room, epoch: epoch)
    // Two masters may each go on from what the other had: then neither is the first.
    guard epoch != end.epoch, !descends(end.epoch, from: epoch, in: room) else { return }
    guard let known = parents[name] else {
      parents[name] = end
      return
    }
    if end.offset > known.offset { parents[name] = end }
    let (earlier, later) = end.offset > known.offset ? (known, end) : (end, known)
    adopt(earlier, later.epoch, room)
  }

  private func descends(_ epoch: String, from ancestor: String, in room: String) -> Bool {
    var epoch = epoch
    while epoch != ancestor {
      guard let parent = parents[Name(room: room, epoch: epoch)] else { return false }
      epoch = parent.epoch
    }
    return true
  }

  /// Whether an epoch goes on from another.
  func continues(_ epoch: String, in room: String) -> Bool { parents[Name(room: room, epoch: epoch)] != nil }

  /// The first name of a place in a room.
  func first(_ place: Place, in room: String) -> Place {
    var place = place
    while let parent = parents[Name(room: room, epoch: place.epoch)], place.offset <= parent.offset {
      place = Place(epoch: parent.epoch, offset: place.offset)
    }
    return place
  }
}
