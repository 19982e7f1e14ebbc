import Randomness
import Testing

@testable import Settings

@Suite("Settings of roost serve")
struct ServerSettingsTests {
  @Test("a fresh table has the documented defaults")
  func defaults() throws {
    let settings = try serve()
    #expect(settings.port == 8080)
    #expect(settings.host == "0.0.0.0")
    #expect(settings.redis == nil)
    #expect(settings.redisPrefix == "roost")
    #expect(settings.workers == 1)
    #expect(settings.adminPort == nil)
    #expect(settings.authentication == .none)
    #expect(settings.historyMessagesMax == 100)
    #expect(settings.historyTTLMilliseconds == 300_000)
    #expect(settings.pingIntervalMilliseconds == 25_000)
    #expect(settings.pingTimeoutMilliseconds == 10_000)
    #expect(settings.maxMessageBytes == 65_536)
    #expect(settings.maxQueueBytes == 1_048_576)
    #expect(settings.maxRooms == 256)
    #expect(settings.messagesPerSecondMax == nil)
    #expect(settings.drainMilliseconds == 10_000)
    #expect(settings.leaveGraceMilliseconds == 5000)
    #expect(settings.presenceAnnounceMax == 500 && settings.presenceIntervalMilliseconds == 1000)
    #expect(settings.leaveDebounceMilliseconds == 0)
    #expect(settings.compression)
    #expect(settings.ioUring)
    #expect(!settings.echo)
    #expect(settings.logFormat == .auto)
  }

  @Test("a flag beats the environment, which beats the file, which beats the default")
  func precedence() throws {
    let file = #"{"port":1,"pingInterval":"1s","maxRooms":3,"historySize":4}"#
    let environment = ["ROOST_PORT": "2", "ROOST_PING_INTERVAL": "2s", "ROOST_CONFIG": "c.json", "ROOST_RATE": ""]
    let settings = try serve(["--port", "3"], environment, files: ["c.json": file])
    #expect(settings.port == 3)
    #expect(settings.pingIntervalMilliseconds == 2000)
    #expect(settings.maxRooms == 3)
    #expect(settings.historyMessagesMax == 4)
    #expect(settings.messagesPerSecondMax == nil)
    #expect(settings.configPath == "c.json")
    let other = try serve(["--config=d.json"], environment, files: ["d.json": #"{"maxRooms":9}"#])
    #expect(other.maxRooms == 9)
  }

  @Test("every setting is reachable by its three names")
  func threeNames() throws {
    let values: [String: String] = [
      "host": "::1", "port": "0", "adminPort": "9", "tlsCert": "c", "tlsKey": "k", "redirectPort": "8",
      "origins": "https://a.example,*.b.example", "redis": "rediss+sentinel://h/m", "redisCa": "a.pem",
      "redisCert": "r", "redisSentinelUser": "su", "redisSentinelPassword": "sp", "redisKey": "rk", "redisPrefix": "p",
      "nodeId": "n-1",
      "workers": "1", "auth": "jwt", "jwtSecret": "s", "jwtPublicKey": "k.pem", "jwks": "https://x/jwks",
      "jwtSecretFile": "secrets", "jwksRefresh": "1m", "jwtAudience": "chat,other", "jwtIssuer": "https://id.example",
      "jwtLeeway": "0s", "authTimeout": "3s", "jwtRequireExp": "off", "jwtDefaultRooms": "a,r:b:*",
      "clientDirect": "permission", "directRate": "9", "iceServers": "stun:s,turn:t", "iceSecret": "is", "iceTtl": "1h",
      "adminToken": "t", "apiKey": "a", "historySize": "5", "historyTtl": "1h", "pingInterval": "500ms",
      "pingTimeout": "1m", "leaveGrace": "0", "presenceAnnounceMax": "40",
      "presenceInterval": "2s", "leaveDebounce": "3s", "drain": "0", "compression": "off", "ioUring": "off",
      "echo": "on", "demo": "on",
      "maxMessage": "1k",
      "maxQueue": "2m", "maxConnections": "7", "maxRooms": "6", "maxWildcards": "4", "rate": "5",
      "webhookUrl": "http://h/x",
      "webhookSecret": "w,old", "webhookTimeout": "2s", "webhookEvents": "message,user_left", "webhookBatch": "50",
      "webhookAsk": "connect,message", "webhookHeaders": "Cookie,x-tenant",
      "webhookQueue": "77", "webhookQueueAge": "2h", "logLevel": "debug", "logFormat": "json",
      "trustedProxies": "10.0.0.0/8,::1",
      "proxyProtocol": "on", "maxConnectionsPerAddress": "50", "maxConnectionsPerUser": "0", "handshakeRate": "100",
      "rateBytes": "4k", "roomRate": "30", "newRoomRate": "8", "nodeNewRoomRate": "9", "dedupeMemory": "5m",
      "adminGuesses": "3", "messageTimeout": "9s", "socketio": "off", "socketioNamespaces": "/,/chat*",
      "socketioClient": "client.js", "socketioRecovery": "off", "otlpUrl": "http://collector:4318",
      "otlpSample": "0.25",
    ]
    let typed = Set([
      "port", "adminPort", "redirectPort", "workers", "historySize", "maxConnections", "maxRooms", "maxWildcards",
      "rate",
      "maxConnectionsPerAddress", "maxConnectionsPerUser", "handshakeRate", "roomRate", "newRoomRate",
      "nodeNewRoomRate", "adminGuesses", "webhookBatch", "webhookQueue", "directRate", "presenceAnnounceMax",
      "otlpSample",
    ])
    var arguments: [String] = []
    var environment: [String: String] = [:]
    var file: [String] = []
    // IceSettingsTests has the two that iceSecret excludes.
    let excluded: Set = ["iceUser", "iceCredential"]
    for option in ServerSettings.table.options where option.reach == .everywhere && !excluded.contains(option.key) {
      let value = try #require(values[option.key], "a new setting needs a line here: \(option.key)")
      arguments += [option.flag, value]
      environment[option.variable] = value
      file.append("\"\(option.key)\":\(typed.contains(option.key) ? value : "\"\(value)\"")")
    }
    let results = [
      try serve(arguments), try serve([], environment),
      try serve(["--config", "f"], files: ["f": "{\(file.joined(separator: ","))}"]),
    ]
    for settings in results {
      #expect(settings.pingIntervalMilliseconds == 500)
      #expect(settings.trustedProxies == ["10.0.0.0/8", "::1"] && settings.proxyProtocol)
      #expect(settings.connectionsPerAddressMax == 50 && settings.connectionsPerUserMax == 0)
      #expect(settings.handshakesPerSecondMax == 100 && settings.bytesPerSecondMax == 4096)
      #expect(settings.roomPublishesPerSecondMax == 30 && settings.adminGuessesPerMinute == 3)
      #expect(settings.messageTimeoutMilliseconds == 9000)
      #expect(settings.authentication == .jwt)
      #expect(settings.origins.map(\.description) == ["https://a.example", "*.b.example"])
      #expect(settings.maxQueueBytes == 2 << 20)
      #expect(!settings.compression && !settings.ioUring && settings.echo && settings.servesDemo)
      #expect(settings.drainMilliseconds == 0)
      #expect(settings.presenceAnnounceMax == 40 && settings.presenceIntervalMilliseconds == 2000)
      #expect(settings.leaveDebounceMilliseconds == 3000)
      #expect(settings.redis?.description == "rediss+sentinel://h:26379/m")
      #expect(settings.redisSentinelUser == "su" && settings.redisSentinelPassword == "sp")
      #expect(settings.jwtSecret == "s" && settings.apiKey == "a" && settings.webhooks.secrets == ["w", "old"])
      #expect(settings.webhooks.url == "http://h/x" && settings.webhooks.timeoutMilliseconds == 2000)
      #expect(settings.webhooks.events == [.message, .userLeft] && settings.webhooks.batchMax == 50)
      #expect(
        settings.webhooks.decisions == [.connect, .message] && settings.webhooks.headers == ["Cookie", "x-tenant"])
      #expect(settings.asksAboutConnects)
      #expect(settings.webhooks.queueMax == 77 && settings.webhooks.queueMilliseconds == 7_200_000)
      #expect(settings.jwtSecretPath == "secrets" && settings.jwtPublicKeyPath == "k.pem")
      #expect(settings.jwksLocation == "https://x/jwks" && settings.jwksRefreshMilliseconds == 60_000)
      #expect(settings.jwtAudiences == ["chat", "other"] && settings.jwtIssuers == ["https://id.example"])
      #expect(settings.jwtLeewayMilliseconds == 0 && settings.authTimeoutMilliseconds == 3000)
      #expect(!settings.jwtRequiresExpiry && settings.jwtDefaultRooms == ["a", "r:b:*"])
      #expect(settings.clientDirect == .permission && settings.directsPerSecondMax == 9)
      #expect(settings.iceServers == ["stun:s", "turn:t"] && settings.iceSecret == "is")
      #expect(settings.logLevel == .debug && settings.logFormat == .json)
      #expect(settings.tlsCertificatePath == "c" && settings.tlsKeyPath == "k" && settings.redirectPort == 8)
      #expect(settings.tracing.url == "http://collector:4318" && settings.tracing.sample == 0.25)
      #expect(settings.nodeID == "n-1" && settings.maxConnections == 7 && settings.messagesPerSecondMax == 5)
    }
    #expect(ServerSettings.table.options.contains { $0.flag == "--ping-interval" })
    #expect(ServerSettings.table.options.contains { $0.variable == "ROOST_JWT_PUBLIC_KEY" })
  }

  @Test("toggles are read alone, negated and with a word")
  func toggles() throws {
    #expect(try serve(["--echo"]).echo)
    #expect(try serve(["--echo", "off"]).echo == false)
    #expect(try serve([]).servesDemo && !serve(["--demo", "off"]).servesDemo)
    #expect(try !serve(["--auth", "jwt", "--jwt-secret", "s"]).servesDemo)
    #expect(try serve(["--echo=yes"]).echo)
    #expect(try serve(["--no-compression"]).compression == false)
    #expect(try serve(["--compression", "off", "--compression=1"]).compression)
    #expect(try serve(["--echo", "--port", "1"]).port == 1)
    #expect(try serve(["--config=f"], files: ["f": #"{"compression":false,"echo":true,"maxMessage":100}"#]).echo)
  }

  @Test(
    "a wrong command line is answered with one line that names flag, value and what is accepted",
    arguments: [
      (["--ping-intervall", "1s"], ["--ping-intervall", "did you mean --ping-interval?"]),
      (["--pingInterval=1s"], ["did you mean --ping-interval?"]), (["--zzzzzzz"], ["unknown flag", "--help"]),
      (["--no-compresion"], ["did you mean --no-compression?"]), (["--no-port"], ["unknown flag"]),
      (["--ping-interval", "30"], ["--ping-interval", "\"30\"", "no unit", "ms, s, m, h or d"]),
      (["--ping-interval", "1x"], ["\"1x\"", "is not a duration"]),
      (["--ice-ttl", "8d"], ["--ice-ttl", "out of range", "1m to 7d"]),
      (["--ping-interval", "1ms"], ["out of range", "100ms"]),
      (["--presence-announce-max", "100001"], ["--presence-announce-max", "out of range", "0 to 100000"]),
      (["--presence-interval", "50ms"], ["--presence-interval", "out of range", "100ms to 1m"]),
      (["--leave-debounce", "2h"], ["--leave-debounce", "out of range", "0 to 1h"]),
      (["--history-ttl", "9999999999999999h"], ["--history-ttl"]), (["--port", "65536"], ["--port", "0 to 65535"]),
      (["--port", "http"], ["not a whole number"]), (["--port", "+1"], ["not a whole number"]),
      (["--port"], ["--port needs a value"]), (["--host", "--port", "1"], ["--host needs a value"]),
      (["--host="], ["--host", "is empty"]), (["--max-message", "64x"], ["--max-message", "k, m or g"]),
      (["--max-message", "1g"], ["out of range", "16m"]), (["--echo=maybe"], ["--echo", "on, off"]),
      (["--no-echo=on"], ["takes no value"]), (["--auth", "basic"], ["\"basic\"", "none, jwt, webhook"]),
      (["--log-level", "trace"], ["debug, info, warn, error"]), (["extra"], ["unexpected argument \"extra\""]),
      (["--origins", "https://a.example/"], ["--origins", "path"]), (["--origins", "https://a,,b"], ["is empty"]),
      (["--redis-prefix", "a{b}"], ["--redis-prefix", "braces"]), (["--node-id", "a b"], ["--node-id"]),
      (["--webhook-url", "ftp://x"], ["--webhook-url", "http://"]), (["--rate", "-5"], ["--rate", "out of range"]),
      (["--auth", "webhook"], ["--auth webhook", "--webhook-url"]),
      (["--webhook-ask", "join"], ["--webhook-ask", "--webhook-url"]),
      (["--webhook-ask", "leave"], ["--webhook-ask", "connect, join, message"]),
      (["--auth", "webhook", "--webhook-url", "http://h/"], ["--webhook-secret"]),
      (["--webhook-url", "http://h/"], ["--webhook-url", "--webhook-secret"]),
      (["--webhook-headers", "a b"], ["--webhook-headers", "name of a header"]),
      (["--webhook-headers", "Cookie"], ["--webhook-headers", "--webhook-ask connect"]),
      (["--webhook-timeout", "10ms"], ["--webhook-timeout", "out of range"]),
      (["--auth", "jwt"], ["--jwt-secret", "--jwks"]), (["--tls-cert", "c"], ["--tls-key is missing"]),
      (["--redis", "rediss://h", "--redis-key", "c"], ["--redis-cert is missing"]),
      (["--redis", "redis://h", "--redis-ca", "c"], ["--redis-ca", "rediss://"]),
      (["--tls-key", "c"], ["--tls-cert is missing"]), (["--workers", "2"], ["--workers 2 needs --redis"]),
      (["--workers", "2", "--redis", "redis://h", "--port", "0"], ["fixed --port"]),
      (["--redis", "redis+sentinel://h/m", "--redis-sentinel-user", "u"], ["--redis-sentinel-password"]),
      (["--redis", "redis://h", "--redis-sentinel-password", "p"], ["redis+sentinel://"]),
      (["--redirect-port", "80"], ["--redirect-port", "--tls-cert"]),
      (["--trusted-proxies", "10.0.0.1/8"], ["--trusted-proxies", "10.0.0.0/8"]),
      (["--trusted-proxies", "proxy.example"], ["--trusted-proxies", "no address"]),
      (["--proxy-protocol"], ["--proxy-protocol", "--trusted-proxies"]),
      (["--rate-bytes", "2g"], ["--rate-bytes", "out of range"]),
      (["--max-queue", "63k"], ["--max-queue 63k", "--max-message 64k", "at least 64k"]),
      (["--max-message", "2m"], ["--max-queue 1m", "--max-message 2m"]),
      (["--config", "none"], ["none", "no such file"]),
    ])
  func refusesArguments(_ arguments: [String], _ words: [String]) {
    let message = refusal(arguments)
    for word in words { #expect(message?.contains(word) == true, "\(message ?? "accepted")") }
    #expect(message?.contains("\n") != true)
  }

  @Test("a share is a decimal number from 0 to 1", arguments: ["0", "1", "0.001", "1e-3", ".5"])
  func shares(_ text: String) throws {
    let collector = ["--otlp-url", "http://c"]
    #expect(try serve(collector + ["--otlp-sample", text]).tracing.sample == Double(text))
    #expect(try serve().tracing.sample == 0)
    for wrong in ["-0.1", "1.1", "nan", "inf", "0x1p-2", "+1", "10%", "1e400", "1 "] {
      #expect(
        refusal(collector + ["--otlp-sample", wrong])?.contains("0 to 1") == true, "\(wrong)")
    }
    #expect(refusal(["--otlp-sample", "0.1"])?.contains("expected --otlp-url") == true)
    #expect(refusal(["--otlp-url", "collector:4318"])?.contains("http://") == true)
  }

  @Test("a wrong variable or key is named as it was written")
  func refusesOtherPlaces() {
    #expect(refusal([], ["ROOST_PING_INTERVAL": "5"])?.hasPrefix("ROOST_PING_INTERVAL: \"5\" has no unit") == true)
    #expect(refusal([], ["ROOST_PORT": "tcp://10.0.0.1:80"])?.contains("enableServiceLinks") == true)
    #expect(refusal([], ["ROOST_URL": "x", "ROOST_PROT": "y"]) == nil)
    func file(_ text: String) -> String? { refusal(["--config=f.json"], files: ["f.json": text]) }
    #expect(file(#"{"ping-interval":"1s"}"#) == "unknown key \"ping-interval\" in f.json; did you mean pingInterval?")
    #expect(file(#"{"config":"x"}"#)?.contains("unknown key \"config\"") == true)
    #expect(file(#"{"port":"80"}"#) == "port in f.json: a string is not accepted; expected a number")
    #expect(file(#"{"port":80,"echo":true,"port":81}"#) == "key \"port\" stands twice in f.json; expected it once")
    #expect(file(#"{"port":80.5}"#)?.contains("not a whole number") == true)
    #expect(file(#"{"pingInterval":30}"#)?.contains("expected a string") == true)
    #expect(file(#"{"echo":null}"#)?.contains("true or false") == true)
    #expect(file(#"{"origins":["https://a.example",1]}"#)?.contains("array of strings") == true)
    #expect(file("[]")?.contains("one JSON object") == true)
    #expect(file("{\"port\":}")?.contains("malformed JSON: a value is missing at byte 8") == true)
  }

  @Test(
    "no message repeats a secret",
    arguments: ["admin-token", "jwt-secret", "api-key", "webhook-secret", "redis", "webhook-url", "otlp-url"])
  func hidesSecrets(_ name: String) throws {
    let secret = "hunter2\u{1}"
    for value in [secret, "redis://:\(secret)@h:99999", "ftp://u:\(secret)@h"] {
      let message = try #require(refusal(["--\(name)", value]))
      #expect(!message.contains("hunter2"), "\(message)")
      #expect(message.contains("--\(name)"))
    }
  }

  @Test("a wrong value of any length and content stays on one line")
  func boundsMessages() throws {
    let message = try #require(refusal(["--port", "a\n\u{1B}[31m" + String(repeating: "x", count: 5000)]))
    #expect(message.count < 200)
    #expect(!message.contains("\n") && !message.contains("\u{1B}"))
  }

  @Test("workers are one for each core with Redis and one without")
  func resolvesWorkers() throws {
    #expect(try serve(["--redis", "redis://h"], coreCount: 6).workers == 6)
    #expect(try serve(["--redis", "redis://h", "--workers", "2"], coreCount: 6).workers == 2)
    #expect(try serve([], coreCount: 6).workers == 1)
    #expect(refusal(["--redis", "redis://h", "--port", "0"], coreCount: 1) == nil)
  }

  @Test("help lists every flag with its default in at most 100 columns and wins over errors")
  func writesHelp() throws {
    for arguments in [["--help"], ["-h"], ["--nonsense", "--help"]] {
      guard case .help(let text) = try parse(arguments) else {
        Issue.record("no help")
        continue
      }
      for option in ServerSettings.table.options where option.reach != .fileOnly {
        #expect(text.contains(option.flag + " "), "\(option.flag)")
      }
      for words in ["(default 25s)", "(default 64k)", "(default 8080)", "(default on)", "one per core with Redis"] {
        #expect(text.contains(words), "\(words)")
      }
      #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }
    guard case .version = try parse(["--version"]) else {
      Issue.record("no version")
      return
    }
  }

  @Test("arbitrary arguments never trap and always give settings or one line", arguments: [81, 82] as [UInt64])
  func survivesNoise(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let flags = ServerSettings.table.options.map(\.flag) + ["--no-echo", "--", "-", "", "-x", "--=", "--port=", "é"]
    let values = [
      "", "0", "1s", "64k", "on", "-1", "redis://", "redis://[::1", "unix://", "%", "a,b", "99999999999999999999h",
    ]
    for round in 0..<3000 {
      let arguments = (0..<Int.random(in: 0...6, using: &random)).map { _ in
        (Bool.random(using: &random) ? flags : values).randomElement(using: &random) ?? ""
      }
      let message = refusal(arguments)
      #expect(message == nil || message?.isEmpty == false, "seed \(seed) round \(round)")
      #expect(message?.contains("\n") != true, "seed \(seed) round \(round)")
    }
  }
}

func parse(
  _ arguments: [String], _ environment: [String: String] = [:], files: [String: String] = [:], coreCount: Int = 2
) throws(SettingsError) -> ServerSettings.Parsed {
  try ServerSettings.parse(arguments: arguments, environment: environment, coreCount: coreCount) { path in
    guard let text = files[path] else { return .failure(SettingsError(message: "\(path): no such file")) }
    return .success(Array(text.utf8))
  }
}

func serve(
  _ arguments: [String] = [], _ environment: [String: String] = [:], files: [String: String] = [:], coreCount: Int = 2
) throws -> ServerSettings {
  guard case .serve(let settings) = try parse(arguments, environment, files: files, coreCount: coreCount) else {
    throw SettingsError(message: "help or version instead of settings")
  }
  return settings
}

func refusal(
  _ arguments: [String], _ environment: [String: String] = [:], files: [String: String] = [:], coreCount: Int = 2
) -> String? {
  do throws(SettingsError) {
    _ = try parse(arguments, environment, files: files, coreCount: coreCount)
    return nil
  } catch { return error.message }
}
