import Randomness
import Testing

@testable import Realtime

@Suite("Who is in a room, as its members were told")
struct AnnouncedUsersTests {
  private func name(_ number: Int) -> [UInt8] { Array("user-\(number)".utf8) }

  @Test("does what a set does, through growth, removals and compaction")
  func likeASet() {
    var random = SeededGenerator(seed: 7)
    for limit in [4, 9, 40, 2000] {
      var announced = AnnouncedUsers()
      var set: Set<[UInt8]> = []
      for _ in 0..<(limit * 20) {
        let user = name(Int.random(in: 0..<limit, using: &random))
        if Bool.random(using: &random) {
          let isNew = announced.insert(user.span)
          #expect(isNew == set.insert(user).inserted)
        } else {
          let wasThere = announced.remove(user.span)
          #expect(wasThere == (set.remove(user) != nil))
        }
      }
      #expect(announced.count == set.count)
      var all: Set<[UInt8]> = []
      announced.forEach { all.insert($0) }
      #expect(all == set)
      for number in 0..<limit {
        let user = name(number)
        let isThere = announced.contains(user.span)
        #expect(isThere == set.contains(user))
      }
    }
  }

  @Test("finds the users between two names, removed ones excepted", arguments: [6, 200])
  func between(count: Int) {
    var announced = AnnouncedUsers((0..<count).map(name))
    announced.remove(name(2).span)
    let all = (0..<count).filter { $0 != 2 }.map(name).sorted { $0.lexicographicallyPrecedes($1) }
    #expect(Set(announced.users(after: nil, before: nil)) == Set(all))
    #expect(Set(announced.users(after: all[1], before: nil)) == Set(all[2...]))
    #expect(Set(announced.users(after: nil, before: all[3])) == Set(all[..<3]))
    #expect(announced.users(after: all[1], before: all[3]) == [all[2]])
    #expect(announced.users(after: all[1], before: all[2]) == [])
  }

  @Test("finds an end of its search when few users come and go for ever after there were more")
  func comingAndGoing() {
    var announced = AnnouncedUsers((0..<10).map(name))
    for number in 0..<3 {
      let user = name(number)
      let wasThere = announced.remove(user.span)
      #expect(wasThere)
    }
    let guest: [UInt8] = [0x67]
    for _ in 0..<1000 {
      let isNew = announced.insert(guest.span)
      let wasThere = announced.remove(guest.span)
      #expect(isNew && wasThere)
    }
    #expect(announced.count == 7)
  }

  @Test("takes nobody for a user")
  func nobody() {
    var announced = AnnouncedUsers([])
    let none: [UInt8] = []
    let user = name(1)
    let isNew = announced.insert(none.span)
    let wasThere = announced.remove(user.span)
    #expect(!isNew && !wasThere && announced.count == 0)
  }
}

@Suite("Hub, notices that are lost or said twice")
struct NoticeTests {
  @Test("tells a coming once, however often it is said")
  func saidTwice() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.moveElsewhere("far")
    #expect(ann.take().map(\.type) == ["user_joined"])
    // The other node asserts its member again.
    bench.broker.forget()
    #expect(!ann.take().contains { $0.type == "user_joined" })
  }

  @Test("tells of the new epoch when everything was forgotten, though no link broke and nobody publishes")
  func flushed() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    ann.publish(#""n":1"#)
    bench.broker.flush()
    let renewed = try #require(ann.take().first { $0.type == "joined" })
    #expect(renewed.int("offset") == 0 && renewed.json["recovered"]?.asBool == false)
    #expect(bench.broker.users == ["ann"])
  }

  @Test("tells after an outage who has left and who has come meanwhile, each once")
  func outage() {
    let bench = HubBench()
    let ann = bench.open("ann")
    bench.broker.moveElsewhere("gone")
    ann.join()
    bench.broker.goAway()
    bench.broker.moveElsewhere("gone")
    bench.broker.moveElsewhere("new")
    bench.broker.comeBack()
    _ = ann.take()
    bench.clock.milliseconds += Limits.presenceCompareMilliseconds
    bench.hub.expire()
    let told = ann.take().map { "\($0.type ?? "") \($0.string("user") ?? "")" }
    #expect(told == ["user_left gone", "user_joined new"])
    bench.clock.milliseconds += 60_000
    bench.hub.expire()
    #expect(ann.take().isEmpty)
  }

  @Test("lets a new member in only when it is known who is there")
  func admission() {
    let bench = HubBench()
    let ann = bench.open("ann")
    bench.broker.isQueuing = true
    ann.post(#"{"type":"join","room":"r"}"#)
    bench.broker.answerNext()
    bench.broker.answerNext()
    #expect(ann.take().isEmpty)
    // Heard of while the list of users is on its way: there before the answer to the join.
    bench.broker.moveElsewhere("far")
    bench.broker.hearNext()
    bench.broker.hearNext()
    #expect(ann.take().isEmpty)
    bench.broker.answerNext()
    #expect(ann.take().map(\.type) == ["joined"])
    bench.broker.moveElsewhere("far")
    bench.broker.hearNext()
    #expect(ann.take().map(\.type) == ["user_left"])
  }
}
