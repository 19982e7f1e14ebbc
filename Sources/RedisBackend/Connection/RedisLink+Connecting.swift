import LoopCore

extension RedisLink {
  /// Finds out where to connect to, and begins.
  func connect() {
    generation += 1
    phase = .resolving
    let generation = generation
    guard let locate else { return resolve() }
    locate { [weak self] found in
      guard let self, self.generation == generation, phase == .resolving else { return }
      switch found {
      case .success(let endpoint):
        self.endpoint = endpoint
        resolve()
      case .failure(let failure): fail(failure.reason)
      }
    }
  }

  private func resolve() {
    let generation = generation
    switch endpoint {
    case .unix(let path):
      guard let address = Address(unixPath: path) else { return fail("the socket's path is too long") }
      attempt([address][...])
    case .tcp(let host, let port):
      resolver.resolve(host, port: port) { [weak self] addresses in
        guard let self, self.generation == generation, phase == .resolving else { return }
        guard let addresses, !addresses.isEmpty else { return fail("the host name is unknown") }
        attempt(addresses[...])
      }
    }
  }

  private func attempt(_ addresses: ArraySlice<Address>) {
    guard let address = addresses.first else { return fail("no address") }
    untried = addresses.dropFirst()
    generation += 1
    phase = .connecting
    do {
      descriptor = try Socket.connect(to: address)
      try loop.watch(descriptor, for: .write, handler: handler, token: generation)
    } catch {
      if case .unix = endpoint { return attemptFailed(RedisLink.unixComplaint(about: error.code)) }
      return attemptFailed(error.description)
    }
    let generation = generation
    loop.after(milliseconds: RedisLimits.connectMilliseconds) { [weak self] in
      guard let self, self.generation == generation, phase == .connecting || phase == .securing else { return }
      attemptFailed(
        phase == .connecting
          ? "no connection within \(RedisLimits.connectMilliseconds) ms"
          : "no TLS handshake within \(RedisLimits.connectMilliseconds) ms; is this a port for TLS?")
    }
  }

  private func attemptFailed(_ reason: String) {
    guard !untried.isEmpty else { return fail(reason) }
    tls = nil
    if descriptor >= 0 { Socket.close(descriptor) }
    descriptor = -1
    attempt(untried)
  }

  /// Goes on when the socket is ready during an attempt.
  func proceed() {
    if phase == .connecting {
      let code = Socket.pendingError(descriptor)
      guard code == 0 else { return attemptFailed(SystemError.text(code)) }
      guard case .tcp(let host, _) = endpoint, let tlsContext else { return greet() }
      guard let session = TLSSession(tlsContext, socket: descriptor, host: host) else {
        return attemptFailed("no memory for TLS")
      }
      tls = session
      phase = .securing
    }
    secure()
  }

  /// Takes the TLS handshake as far as the socket allows.
  private func secure() {
    guard let tls else { return }
    switch tls.handshake() {
    case .done: greet()
    case .wantsRead: loop.change(descriptor, to: .read, handler: handler, token: generation)
    case .wantsWrite: loop.change(descriptor, to: .write, handler: handler, token: generation)
    case .failed:
      tlsContext?.handshakeFailed(at: loop.now, atMostEvery: RedisLimits.tlsRereadMilliseconds)
      attemptFailed(RedisLink.complaint(about: tls.failure))
    }
  }

  private func greet() {
    loop.change(descriptor, to: .read, handler: handler, token: generation)
    phase = .greeting
    watch(generation)
    let (user, password) =
      hasCredentialsOfSentinel
      ? (configuration.sentinelUser, configuration.sentinelPassword) : (configuration.user, configuration.password)
    if let password {
      enqueue({ [weak self] in self?.greeted($0, "AUTH") }) { writer in
        writer.command(parts: user == nil ? 2 : 3)
        writer.bulk("AUTH")
        if let user { writer.bulk(Array(user.utf8)) }
        writer.bulk(Array(password.utf8))
      }
    }
    if configuration.database != 0, !isDiscovery {
      enqueue({ [weak self] in self?.greeted($0, "SELECT") }) { writer in
        writer.command(parts: 2)
        writer.bulk("SELECT")
        writer.bulk(configuration.database)
      }
    }
    if locate != nil { askRole() }
    // A Redis that does not let us name the connection serves all the same: any answer will do.
    enqueue({ [weak self] reply in if reply != nil { self?.finishGreeting() } }) { writer in
      writer.command(parts: 3)
      writer.bulk("CLIENT")
      writer.bulk("SETNAME")
      writer.bulk(Array(name.utf8))
    }
  }

  private func greeted(_ reply: Reply?, _ command: String) {
    guard let reply, reply.isError else { return }
    // A sentinel without a password of its own refuses any; one that was given its own must take it.
    if hasCredentialsOfSentinel, command == "AUTH" {
      return fail("AUTH was refused: \(reply.text); check --redis-sentinel-user and --redis-sentinel-password")
    }
    guard !isDiscovery else { return }
    fail(RedisLink.refusal(of: command, reply))
  }

  /// Whether it goes to a sentinel that has a password of its own.
  private var hasCredentialsOfSentinel: Bool {
    isDiscovery && configuration.topology.hasSentinels && configuration.sentinelPassword != nil
  }

  /// Makes sure that what the sentinels named is a master: during a failover they may still name the old one.
  private func askRole() {
    enqueue({ [weak self] reply in
      guard let self, let reply else { return }
      if reply.isError { return fail(RedisLink.refusal(of: "ROLE", reply)) }
      guard reply.count > 0, reply[0].text == "master" else {
        return fail("this is no master\(reply.count > 0 ? " but a \(reply[0].text)" : ""): a failover is going on")
      }
    }) { writer in
      writer.command(parts: 1)
      writer.bulk("ROLE")
    }
  }

  private func finishGreeting() {
    guard phase == .greeting else { return }
    phase = .open
    if wasOpen { reconnectsTotal += 1 }
    wasOpen = true
    opened()
  }
}
