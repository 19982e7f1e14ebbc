import Testing

@testable import Settings

@Suite("Settings that were given by mistake")
struct SlipTests {
  private func unknown(_ environment: [String: String]) -> [String] {
    ServerSettings.unknownVariables(in: environment, others: ["ROOST_URL"])
  }

  @Test("finds variables that nothing reads, in their order, and names the nearest setting")
  func unknownVariables() {
    let found = unknown([
      "ROOST_PROT": "1", "ROOST_ADMIN_TOKN": "secret", "ROOST_XYZZY": "1", "PATH": "/", "ROOSTER": "1",
    ])
    #expect(found.count == 3)
    #expect(found[0].contains("ROOST_ADMIN_TOKN is ignored; did you mean ROOST_ADMIN_TOKEN?"))
    #expect(found[1].contains("ROOST_PROT is ignored; did you mean ROOST_PORT?"))
    #expect(found[2].contains("ROOST_XYZZY is ignored; roost serve --help"))
    #expect(!found.joined().contains("secret"))
  }

  @Test(
    "names the nearest option, also one that the name begins with, or those that begin with the name",
    arguments: [
      ("--redis-url", "did you mean --redis?"),
      ("--redis-sentinel-passwort", "did you mean --redis-sentinel-password?"),
      ("--history", "did you mean --history-size or --history-ttl?"), ("--jwt-key-file", nil),
      ("--webhook", "did you mean --webhook-url, --webhook-secret or --webhook-timeout?"),
      ("--port-number", "did you mean --port?"), ("--no", nil), ("--zzz-port", nil),
    ])
  func nearest(_ flag: String, _ question: String?) {
    do {
      _ = try ServerSettings.parse(arguments: [flag, "x"], environment: [:], coreCount: 1)
      Issue.record("accepted")
    } catch {
      let hint = question ?? "roost serve --help lists all flags"
      #expect(error.message == "unknown flag \(flag); \(hint)")
    }
    #expect(
      unknown(["ROOST_REDIS_URL": "x"]) == [
        "unknown environment variable ROOST_REDIS_URL is ignored; did you mean ROOST_REDIS?"
      ])
    #expect(NearMiss.question("redisUrl", among: ["port", "redis"]) == "did you mean redis?")
    #expect(NearMiss.question("stat", among: ["status", "start"], prefix: "roost ") == "did you mean roost start?")
  }

  @Test("names the place that sets what no variable does")
  func wrongPlace() {
    #expect(unknown(["ROOST_ROOMS": "[]"]).first?.contains("only the key rooms of the settings file") == true)
  }

  @Test("knows every setting's variable, those of other commands, and those that Kubernetes makes for a service")
  func known() {
    var environment = [
      "ROOST_URL": "x", "ROOST_EMPTY": "", "ROOST_SERVICE_HOST": "10.0.0.1", "ROOST_SERVICE_PORT_WS": "1",
    ]
    environment["ROOST_REDIS_PORT_6379_TCP_ADDR"] = "10.0.0.1"
    environment["ROOST_API"] = "tcp://10.0.0.1:80"
    for option in ServerSettings.table.options where option.isInEnvironment { environment[option.variable] = "x" }
    #expect(unknown(environment) == [])
  }

  @Test("lists the settings for tokens that auth=none does not use, and the limits that were not set")
  func unused() {
    var settings = ServerSettings()
    #expect(settings.unusedTokenSettings == nil)
    #expect(settings.limitsByDefault.count == 7)
    settings.jwtSecret = "x"
    settings.jwtAudiences = ["a"]
    settings.messagesPerSecondMax = 0
    #expect(settings.unusedTokenSettings == "--jwt-secret, --jwt-audience")
    #expect(settings.limitsByDefault.count == 6 && !settings.limitsByDefault.contains("--rate"))
    settings.authentication = .jwt
    #expect(settings.unusedTokenSettings == nil)
  }
}
