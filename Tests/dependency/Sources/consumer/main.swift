import RoostClient
import RoostServer

// A node and a client of it in one program: what one says, the other gets.

var configuration = RoostNode.Configuration(settings: ["host": "127.0.0.1", "port": "0", "drain": "0ms"])
configuration.log = .none
configuration.requests["twice"] = { request in
  let number: Int = try request.payload?.decode() ?? 0
  return try JSON(encoding: number * 2)
}
let node = try await RoostNode.start(configuration)
let roost = try Roost("http://127.0.0.1:\(node.port)", options: Roost.Options(user: "ada"))
let messages = try await roost.room("lobby").messages()
try await node.publish(#"{"text":"hello"}"#, in: "lobby")
for try await message in messages {
  precondition(message.json.text.contains("hello"))
  break
}
let answer: Int = try await roost.request("twice", "21").decode()
precondition(answer == 42)
await roost.close()
await node.stop()
print("both libraries work")
