import ClientProtocol
import JSONCore
import Realtime
import Webhooks

/// Reads what a backend answers to questions and requests.
enum BackendTarget {
  static func check(_ input: [UInt8]) throws(Broken) {
    try checkDecision(input)
    try checkConnect(input)
    guard let response = try? BackendAnswer.response(input) else { return }
    switch response {
    case .success(let value), .refused(let value):
      try require((try? JSONScanner.validate(value.span)) != nil, "what clients get is one JSON value")
      try require(JSONScanner.isValidUTF8(value.span), "what clients get is UTF-8")
    case .failure: break
    }
  }

  private static func checkDecision(_ input: [UInt8]) throws(Broken) {
    guard let decision = try? BackendAnswer.decision(input, takesData: true) else { return }
    switch decision {
    case .allowed(let data):
      try require(data == nil || (try? MessageData(data!.span)) != nil, "data can stand in a message")
      let plain = try? BackendAnswer.decision(input, takesData: false)
      try require((plain == nil) == (data != nil), "data is for messages only")
    case .refused(let reason): try require(reason.utf8.count <= BackendLimits.reasonBytesMax, "a reason is bounded")
    case .unavailable: throw Broken(description: "a backend cannot answer that it does not answer")
    }
  }

  private static func checkConnect(_ input: [UInt8]) throws(Broken) {
    let free = try? BackendAnswer.connect(input, needsUser: false, defaultRooms: nil)
    let decision = try? BackendAnswer.connect(input, needsUser: true, defaultRooms: RoomGrants([]))
    try require(decision == nil || free != nil, "what is enough without a name is enough with one")
    guard case .allowed(let grant) = decision else { return }
    guard let user = grant.user else { throw Broken(description: "who is let in has a name") }
    try require(RoomName.isValid(user.span), "a user's name fits everywhere")
    try require(grant.rooms != nil, "an answer without rooms allows the default")
    if let info = grant.info {
      try require((try? JSONScanner.validate(info.span)) != nil, "info is one JSON value")
      try require(info.count <= BackendLimits.infoBytesMax, "info is bounded")
    }
  }
}
