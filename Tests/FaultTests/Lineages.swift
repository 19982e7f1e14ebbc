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

  private mutating func adopt(_ end: Place, _ epoch: String, _ room: String) {
    let name = Name(room: room, epoch: epoch)
    if let known = parents[name], known.offset >= end.offset { return }
    parents[name] = end
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
