import SocketIOCore
import Testing

@Suite("Namespaces and rooms")
struct NamespaceTests {
  @Test(
    "rooms of a namespace and native rooms are the same in both directions",
    arguments: [
      ("", "lobby", "lobby"), ("/", "lobby", "lobby"), ("", "a#b", "a#b"), ("", "chat/x", "chat/x"),
      ("/chat", "general", "/chat#general"),
      ("/chat", "a#b", "/chat#a#b"), ("/chat", "/x", "/chat#/x"), ("/a/b", "c", "/a/b#c"), ("/chat", "*", "/chat#*"),
      ("/é", "é", "/é#é"),
    ])
  func rooms(_ namespace: String, _ local: String, _ native: String) {
    var output = bytes("before")
    #expect(Namespace.appendNativeRoom(bytes(local).span, in: bytes(namespace).span, to: &output))
    #expect(text(output) == "before" + native)
    let room = bytes(native)
    let location = Namespace.location(ofNative: room.span)
    #expect(text(room[location.namespace]) == (namespace == "/" ? "" : namespace))
    #expect(text(room[location.local]) == local)
  }

  @Test("default rooms", arguments: [("", "socketio"), ("/", "socketio"), ("/chat", "/chat")])
  func defaults(_ namespace: String, _ native: String) {
    var output: [UInt8] = []
    Namespace.appendDefaultRoom(of: bytes(namespace).span, to: &output)
    #expect(text(output) == native)
    let location = Namespace.location(ofNative: output.span)
    #expect(text(output[location.namespace]) == (namespace == "/" ? "" : namespace))
    #expect(location.local.isEmpty)
  }

  @Test("names that are no rooms there", arguments: [("", ""), ("", "/chat"), ("/", "/chat#x"), ("/chat", "")])
  func refusedRooms(_ namespace: String, _ local: String) {
    var output: [UInt8] = []
    #expect(!Namespace.appendNativeRoom(bytes(local).span, in: bytes(namespace).span, to: &output))
    #expect(output.isEmpty)
  }

  @Test("native rooms that no namespace can name belong to none", arguments: ["/", "/#a", "/chat#", "/a*#b", "/a,b"])
  func strayRooms(_ native: String) {
    let room = bytes(native)
    let location = Namespace.location(ofNative: room.span)
    #expect(location.namespace.isEmpty)
    #expect(text(room[location.local]) == native)
  }

  @Test("valid names", arguments: ["/", "/chat", "/a/b", "/a?b=c", "/é", "/" + String(repeating: "a", count: 99)])
  func valid(_ name: String) { #expect(isValid(name)) }

  @Test(
    "names that are none",
    arguments: [
      "", "chat", "/a,b", "/a#b", "/a*", "/a\n", "/a\u{7F}", "/a\u{85}", "/" + String(repeating: "a", count: 100),
    ])
  func invalid(_ name: String) { #expect(!isValid(name)) }

  @Test(
    "a list allows names and globs",
    arguments: [
      ("*", "/", true), ("*", "/any", true), ("/", "/", true), ("/", "", true), ("/", "/a", false), ("/a", "", false),
      ("/,/custom", "/custom", true), ("/,/custom", "/random", false), ("/chat*", "/chat-1", true),
      ("/chat*", "/chat", true),
      ("/chat*", "/cha", false), ("/a/*/c", "/a/b/c", true), ("/a/*/c", "/a/b/d", false), ("/x , /y", "/y", true),
      ("*-x", "/a-x", true),
      ("*a*b*", "/aab", true), ("/custom", "/custom2", false),
    ])
  func lists(_ list: String, _ namespace: String, _ isAllowed: Bool) throws {
    let list = try NamespaceList.parse(bytes(list).span).get()
    #expect(allows(list, bytes(namespace)) == isAllowed)
  }

  @Test(
    "a pattern that matches nothing is told",
    arguments: [("", ""), ("/a,", ""), ("/a,b", "b"), ("/a#b", "/a#b"), (" c ,/", "c")])
  func unusable(_ list: String, _ pattern: String) {
    guard case .failure(let fault) = NamespaceList.parse(bytes(list).span) else {
      Issue.record("\(list) is taken")
      return
    }
    #expect(text(fault.pattern) == pattern)
  }

  @Test("the lists that are known")
  func known() {
    #expect(allows(NamespaceList.all, bytes("/x")))
    #expect(allows(NamespaceList.conformance, []) && allows(NamespaceList.conformance, bytes("/custom")))
    #expect(!allows(NamespaceList.conformance, bytes("/random")))
  }

  private func isValid(_ name: String) -> Bool { Namespace.isValid(bytes(name).span) }

  private func allows(_ list: NamespaceList, _ namespace: [UInt8]) -> Bool { list.allows(namespace.span) }
}
