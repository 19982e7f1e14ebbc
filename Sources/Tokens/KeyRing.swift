import JSONCore
import LoopCore
import Realtime
import Transfers

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
    /// Milliseconds for which a token waits for newer keys, at the most.
    public var waitMilliseconds = 10_000
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
  private var waiting = WaitingTokens()
  private var isFetchPlanned = false
  private var isExpiryPlanned = false
  /// Readings of the key files in a row that failed; above 0 what is on disk is not known.
  private var failedReadings = 0
  private var rereadTimer: EventLoop.TimerID?
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
      Transfer.prepare()
      if url.hasPrefix("http://") {
        log(.warning, "the set of keys comes without TLS: anyone on the way can make tokens")
      }
      fetch()
    }
  }

  /// Judges a token and calls `conclude`: at once when a known key decides, else when newer keys do, or when they could not
  /// be had in time.
  ///
  /// A token is refused only by keys that were asked for after it came.
  public func judge(_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) {
    switch verdict(on: token) {
    case .known(let verdict): conclude(verdict)
    case .open(let reason):
      let entry = WaitingTokens.Entry(
        token: token, arrivedAt: now, deadline: now + UInt64(configuration.waitMilliseconds), reason: reason,
        conclude: conclude)
      guard waiting.add(entry) else { return conclude(KeyRing.cannotJudge) }
      fetchWhenAllowed()
      planExpiry()
    }
  }

  /// Reads the files again and fetches the set. What cannot be read changes nothing: the old keys stay, and the files are
  /// read again in a moment.
  public func reload() {
    readAgain()
    if location != nil, !isFetching { fetch() }
  }

  // MARK: Tokens that wait

  /// What the known keys have to do with a token.
  private enum Finding {
    case known(TokenVerdict)
    /// A key that is not known yet may have signed it; the reason is for the client if there is none.
    case open(reason: String)
  }

  private static let cannotJudge = TokenVerdict.unavailable(
    reason: "the keys for tokens are out of reach: connect again in a moment")

  private func verdict(on token: [UInt8]) -> Finding {
    do throws(TokenFault) {
      return .known(.accepted(try verifier.judge(token.span, now: clock())))
    } catch {
      let isOpen =
        switch error.hope {
        case .none: false
        case .files: failedReadings > 0
        case .filesOrSet: failedReadings > 0 || location != nil
        }
      return isOpen ? .open(reason: error.reason) : .known(.refused(reason: error.reason))
    }
  }

  /// Judges again what waits, by keys that have changed. Returns whether one of them is what a token waited for.
  @discardableResult
  private func judgeWaiting() -> Bool {
    var hasNewKeys = false
    for entry in waiting.takeAll() {
      if case .known(let verdict) = verdict(on: entry.token) {
        hasNewKeys = true
        entry.conclude(verdict)
      } else if !waiting.add(entry) {
        // A conclusion may have brought another token meanwhile.
        entry.conclude(KeyRing.cannotJudge)
      }
    }
    return hasNewKeys
  }

  /// Refuses what came before the known keys were asked for: they are all there are.
  private func refuseWaiting(until moment: UInt64) {
    for entry in waiting.take(until: moment) { entry.conclude(.refused(reason: entry.reason)) }
  }

  /// Has clients come again whose tokens have waited long enough.
  private func planExpiry() {
    guard !isExpiryPlanned, let deadline = waiting.nextDeadline else { return }
    isExpiryPlanned = true
    loop.after(milliseconds: Int(deadline > now ? deadline - now : 0)) { [weak self] in
      guard let self else { return }
      isExpiryPlanned = false
      for entry in waiting.takeDue(at: now) { entry.conclude(KeyRing.cannotJudge) }
      planExpiry()
    }
  }

  // MARK: The published set

  private var now: UInt64 { loop.now / 1_000_000 }

  /// Fetches the set for a token that waits, at once or when the issuer may be asked again.
  private func fetchWhenAllowed() {
    guard location != nil, !isFetching, !isFetchPlanned else { return }
    let delay = plan.delayUntilAllowed(at: now)
    guard delay > 0 else { return fetch() }
    isFetchPlanned = true
    loop.after(milliseconds: Int(delay)) { [weak self] in
      guard let self else { return }
      isFetchPlanned = false
      // Another fetch may have answered them meanwhile, or have put the next one off.
      if !waiting.isEmpty { fetchWhenAllowed() }
    }
  }

  private func fetch() {
    guard let location, let mailbox = reader?.mailbox else { return }
    plan.begin(at: now)
    isFetching = HelperThread.start { mailbox.post(KeyFetch.run(location)) }
    if !isFetching { schedule(inMilliseconds: plan.delayAfterFailure()) }
  }

  private func accept(_ result: Result<FetchedKeys, KeyFault>) {
    isFetching = false
    let isAwaited = !waiting.isEmpty
    var hasNewKeys = false
    do throws(KeyFault) {
      let fetched = try result.get()
      if try adopt(fetched) { hasNewKeys = judgeWaiting() }
      // As long as the key files cannot be read, they may hold the key.
      if failedReadings == 0, let askedAt = plan.lastStart { refuseWaiting(until: askedAt) }
      schedule(inMilliseconds: plan.delayAfterSuccess(maxAge: fetched.maxAge))
    } catch {
      let delay = plan.delayAfterFailure()
      let kept = published == nil ? "there are none yet" : "kept the old ones"
      log(.error, "cannot fetch the keys for tokens, \(kept): \(error); trying again in \(delay / 1000) s")
      schedule(inMilliseconds: delay)
    }
    if isAwaited { plan.end(hasNewKeys: hasNewKeys) }
    if !waiting.isEmpty { fetchWhenAllowed() }
  }

  /// Takes over a set. Returns whether it is another one than before.
  @discardableResult
  private func adopt(_ fetched: FetchedKeys) throws(KeyFault) -> Bool {
    guard published?.bytes != fetched.bytes else { return false }
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
    return true
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

  private func readAgain() {
    if let rereadTimer { loop.cancel(rereadTimer) }
    rereadTimer = nil
    do throws(KeyFault) {
      ownKeys = try KeyRing.readOwnKeys(configuration, log)
      failedReadings = 0
      rebuild()
      log(.info, "reloaded the keys for tokens: \(verifier.keys.count)")
      judgeWaiting()
      // Without a set, these are all keys there are.
      if location == nil { refuseWaiting(until: now) }
    } catch {
      let doubled = TokenLimits.rereadMillisecondsMin << min(failedReadings, 10)
      let delay = min(doubled, TokenLimits.rereadMillisecondsMax)
      failedReadings += 1
      log(.error, "kept the old keys for tokens: \(error); reading again in \(delay / 1000) s")
      rereadTimer = loop.after(milliseconds: delay) { [weak self] in self?.readAgain() }
    }
  }

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
      // Of a secret in the settings, the node warns with its other settings.
      if found.contains(where: \.isShort) {
        log(.warning, SharedSecret.warning("a secret in \(path)", bytesMin: SharedSecret.bytesMin))
      }
      secrets += found
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
