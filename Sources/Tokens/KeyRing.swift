import CCurl
import JSONCore
import LoopCore
import Realtime

/// All keys of a node, kept fresh, and the judge of its tokens.
///
/// Keys come from settings, from files, which `reload` reads again, and from a published set, which is fetched on a
/// helper thread: the loop never waits. Confined to the loop that created it.
public final class KeyRing {
  /// Where keys come from, and what tokens must claim.
  public struct Configuration: Sendable {
    /// A secret for HMAC, or nil.
    public var secret: [UInt8]?
    /// The path of a file with one secret on each line, or nil.
    public var secretPath: String?
    /// The path of a PEM file with public keys, or nil.
    public var publicKeyPath: String?
    /// The path or URL of a set of keys (RFC 7517), or nil.
    public var setLocation: String?
    /// Milliseconds between two fetches of the set, at the most.
    public var refreshMilliseconds = 300_000
    public var policy = TokenPolicy()

    /// Holds no key at all.
    public init() {}
  }

  /// How grave a line for the log is.
  public enum Gravity { case info, warning, error }

  private let configuration: Configuration
  private let loop: EventLoop
  private let clock: () -> UInt64
  private let log: (Gravity, String) -> Void
  private let location: KeyLocation?
  private var verifier: TokenVerifier
  private var ownKeys: [TokenKey]
  /// The published set, as it was fetched and as it was read; nil until it was fetched once.
  private var published: (bytes: [UInt8], keys: [TokenKey])?
  private var plan: RefreshPlan
  private var isFetching = false
  private var timer: EventLoop.TimerID?
  private var waiting: [(token: [UInt8], conclude: (TokenVerdict) -> Void)] = []
  private var waitingBytes = 0
  private var reader: MailboxReader<Result<FetchedKeys, KeyFault>>?

  /// Reads all keys that are on this machine, and throws when one cannot be read or used. A set at a URL is fetched behind
  /// the start: tokens that come before it are kept.
  ///
  /// - Parameters:
  ///   - clock: milliseconds since 1970.
  ///   - log: takes lines that hold no secret.
  public init(
    _ loop: EventLoop, _ configuration: Configuration, clock: @escaping () -> UInt64,
    log: @escaping (Gravity, String) -> Void
  ) throws(KeyFault) {
    self.loop = loop
    self.configuration = configuration
    self.clock = clock
    self.log = log
    location = configuration.setLocation.map { KeyLocation($0) }
    plan = RefreshPlan(interval: configuration.refreshMilliseconds)
    ownKeys = try KeyRing.readOwnKeys(configuration, log)
    verifier = TokenVerifier(keys: ownKeys, policy: configuration.policy)
    guard let location else { return }
    do throws(SystemError) {
      reader = try MailboxReader(loop) { [weak self] in self?.accept($0) }
    } catch {
      throw KeyFault(String(describing: error))
    }
    switch location {
    case .file:
      plan.begin(at: now)
      try adopt(KeyFetch.run(location).get())
      schedule(inMilliseconds: configuration.refreshMilliseconds)
    case .web(let url):
      // Once, before there is a second thread: libcurl asks for that.
      curl_global_init(Int(CURL_GLOBAL_DEFAULT))
      if url.hasPrefix("http://") {
        log(.warning, "the set of keys comes without TLS: whoever stands between can make tokens")
      }
      fetch()
    }
  }

  /// Judges a token and calls `conclude`, at once unless keys must be fetched first.
  public func judge(_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) {
    do throws(TokenFault) {
      conclude(.accepted(try verifier.judge(token.span, now: clock())))
    } catch {
      guard error == .unknownKey, location != nil else { return conclude(.refused(reason: error.reason)) }
      if !isFetching, plan.mayFetch(at: now) { fetch() }
      guard isFetching else { return conclude(verdict(without: error)) }
      guard waitingBytes + token.count <= TokenLimits.waitingBytesMax else { return conclude(KeyRing.cannotJudge) }
      waitingBytes += token.count
      waiting.append((token, conclude))
    }
  }

  /// Reads the files again and fetches the set. What cannot be read changes nothing: the old keys stay.
  public func reload() {
    do throws(KeyFault) {
      ownKeys = try KeyRing.readOwnKeys(configuration, log)
      rebuild()
      log(.info, "reloaded the keys for tokens: \(verifier.keys.count)")
    } catch {
      log(.error, "kept the old keys for tokens: \(error)")
    }
    if location != nil, !isFetching { fetch() }
  }

  // MARK: The published set

  private var now: UInt64 { loop.now / 1_000_000 }

  private static let cannotJudge = TokenVerdict.unavailable(
    reason: "the keys for tokens are out of reach: connect again in a moment")

  /// An unknown key is the token's fault only once there were keys to compare with.
  private func verdict(without fault: TokenFault) -> TokenVerdict {
    published == nil ? KeyRing.cannotJudge : .refused(reason: fault.reason)
  }

  private func fetch() {
    guard let location, let mailbox = reader?.mailbox else { return }
    plan.begin(at: now)
    isFetching = HelperThread.start { mailbox.post(KeyFetch.run(location)) }
    if !isFetching { schedule(inMilliseconds: plan.delayAfterFailure()) }
  }

  private func accept(_ result: Result<FetchedKeys, KeyFault>) {
    isFetching = false
    do throws(KeyFault) {
      let fetched = try result.get()
      try adopt(fetched)
      schedule(inMilliseconds: plan.delayAfterSuccess(maxAge: fetched.maxAge))
    } catch {
      let delay = plan.delayAfterFailure()
      let kept = published == nil ? "there are none yet" : "kept the old ones"
      log(.error, "cannot fetch the keys for tokens, \(kept): \(error); trying again in \(delay / 1000) s")
      schedule(inMilliseconds: delay)
    }
    var tokens: [(token: [UInt8], conclude: (TokenVerdict) -> Void)] = []
    swap(&tokens, &waiting)
    waitingBytes = 0
    for (token, conclude) in tokens {
      do throws(TokenFault) {
        conclude(.accepted(try verifier.judge(token.span, now: clock())))
      } catch {
        conclude(error == .unknownKey ? verdict(without: error) : .refused(reason: error.reason))
      }
    }
  }

  private func adopt(_ fetched: FetchedKeys) throws(KeyFault) {
    guard published?.bytes != fetched.bytes else { return }
    do throws(KeyFault) {
      let keys = try TokenKey.readSet(fetched.bytes) { fault in
        log(.warning, "skipped a key of the set for tokens: \(fault)")
      }
      published = (fetched.bytes, keys)
    } catch {
      throw KeyFault("\(location.map(String.init(describing:)) ?? "the set of keys"): \(error)")
    }
    rebuild()
    log(.info, "took over a set of keys for tokens: \(published?.keys.count ?? 0)")
  }

  private func rebuild() {
    verifier.keys = ownKeys + (published?.keys ?? [])
  }

  private func schedule(inMilliseconds delay: Int) {
    if let timer { loop.cancel(timer) }
    // A tenth at random, so that the nodes of a cluster do not ask all at once.
    timer = loop.after(milliseconds: delay + Int.random(in: 0...(delay / 10))) { [weak self] in
      guard let self, !self.isFetching else { return }
      self.fetch()
    }
  }

  // MARK: Keys on this machine

  private static func readOwnKeys(
    _ configuration: Configuration, _ log: (Gravity, String) -> Void
  ) throws(KeyFault) -> [TokenKey] {
    var secrets: [SharedSecret] = []
    if let secret = configuration.secret { secrets.append(SharedSecret(secret)) }
    if let path = configuration.secretPath {
      let lines = try read(path).split(separator: UInt8(ascii: "\n")).map { line in
        Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
      }
      let found = lines.filter { !$0.isEmpty }.map { SharedSecret($0) }
      guard !found.isEmpty else { throw KeyFault("\(path): there is no secret in it; expected one on each line") }
      secrets += found
    }
    if secrets.contains(where: \.isShort) {
      log(
        .warning,
        "a JWT secret is shorter than \(SharedSecret.bytesMin) bytes: it can be guessed (RFC 7518 section 3.2)")
    }
    var keys = secrets.map { TokenKey(.secret($0)) }
    if let path = configuration.publicKeyPath {
      let pem = try read(path)
      do throws(KeyFault) {
        keys += try PublicKey.readAll(pem: pem).map { TokenKey(.key($0)) }
      } catch {
        throw KeyFault("\(path): \(error)")
      }
    }
    return keys
  }

  private static func read(_ path: String) throws(KeyFault) -> [UInt8] {
    do throws(SystemError) {
      return try WholeFile.read(path, bytesMax: TokenLimits.keysBytesMax)
    } catch {
      throw KeyFault(String(describing: error))
    }
  }
}
