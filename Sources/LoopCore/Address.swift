import CSystem
import Glibc

/// A socket address: IPv4, IPv6 or a Unix socket's path.
public struct Address: Sendable {
  var storage: sockaddr_storage
  var length: socklen_t

  var family: Int32 { Int32(storage.ss_family) }

  init(storage: sockaddr_storage, length: socklen_t) {
    self.storage = storage
    self.length = length
  }

  /// Copies a `sockaddr` of `length` bytes.
  init(_ pointer: UnsafePointer<sockaddr>, _ length: socklen_t) {
    var storage = sockaddr_storage()
    // Safe because a sockaddr of any family fits into a sockaddr_storage, and the copy is bounded by both.
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: min(Int(length), $0.count)))
    }
    self.init(storage: storage, length: length)
  }

  /// Makes the address of a Unix socket, or nil when the path is longer than the 107 bytes the system allows.
  public init?(unixPath: String) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = Array(unixPath.utf8)
    guard !path.isEmpty, path.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    // Safe because the path was just checked to be shorter than `sun_path`, whose rest stays zero.
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    var storage = sockaddr_storage()
    // Safe because a sockaddr_un fits into a sockaddr_storage.
    withUnsafeMutableBytes(of: &storage) { target in
      withUnsafeBytes(of: &address) { target.copyMemory(from: $0) }
    }
    self.init(storage: storage, length: socklen_t(MemoryLayout<sockaddr_un>.size))
  }

  /// Parses a numeric IPv4 or IPv6 address. Names are for `Resolver`.
  public init?(numericHost: String, port: UInt16) {
    guard let first = Address.lookUp(numericHost, port, flags: AI_NUMERICHOST | AI_NUMERICSERV)?.first else {
      return nil
    }
    self = first
  }

  /// Why a name has no addresses.
  struct Unresolved: Error {
    /// Whether the name service may know more later.
    let isTemporary: Bool
  }

  /// Asks the system for the stream addresses of a name. Blocks; returns nil when the name is unknown.
  static func lookUp(_ host: String, _ port: UInt16, flags: Int32) -> [Address]? {
    switch resolve(host, port, flags: flags) {
    case .success(let addresses): addresses
    case .failure: nil
    }
  }

  /// Asks the system for the stream addresses of a name. Blocks.
  static func resolve(_ host: String, _ port: UInt16, flags: Int32) -> Result<[Address], Unresolved> {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = flags
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0 else { return .failure(Unresolved(isTemporary: code == EAI_AGAIN)) }
    defer { freeaddrinfo(list) }
    var addresses: [Address] = []
    var next = list
    while let entry = next?.pointee {
      addresses.append(Address(entry.ai_addr, entry.ai_addrlen))
      next = entry.ai_next
    }
    return .success(addresses)
  }

  /// The same address with another port; a Unix socket has none.
  func with(port: UInt16) -> Address {
    var copy = self
    // Safe because the storage is as large and as aligned as any address it is written as.
    withUnsafeMutableBytes(of: &copy.storage) { bytes in
      switch family {
      case AF_INET: bytes.bindMemory(to: sockaddr_in.self)[0].sin_port = port.bigEndian
      case AF_INET6: bytes.bindMemory(to: sockaddr_in6.self)[0].sin6_port = port.bigEndian
      default: break
      }
    }
    return copy
  }

  /// Asks the system for the addresses of a host, numeric or a name, those of IPv4 first: a server that was told nothing
  /// else listens there. Blocks, so it is not for a loop that serves others; empty when the name is unknown.
  public static func lookUp(_ host: String, port: UInt16) -> [Address] {
    let found = lookUp(host, port, flags: AI_NUMERICSERV) ?? []
    return found.filter { $0.family == AF_INET } + found.filter { $0.family != AF_INET }
  }

  /// Lends the bytes of the numeric host in network order: 4, 16, or none for a Unix socket.
  public func withHostBytes<R>(_ body: (Span<UInt8>) -> R) -> R {
    let range = family == AF_INET ? 4..<8 : family == AF_INET6 ? 8..<24 : 0..<0
    var copy = storage
    // Safe because a sockaddr_storage is longer than any of the ranges, and the span does not outlive the call.
    return withUnsafeBytes(of: &copy) { body($0.bindMemory(to: UInt8.self).extracting(range).span) }
  }

  /// The numeric host, without the port; `unix` for a Unix socket.
  public var host: String {
    guard family != AF_UNIX else { return "unix" }
    var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let code = withSockaddr { getnameinfo($0, $1, &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST) }
    guard code == 0 else { return "unknown" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The port, 0 for a Unix socket.
  public var port: UInt16 {
    var copy = storage
    // Safe because the storage is as large and as aligned as any address it is read as.
    return withUnsafeBytes(of: &copy) { bytes in
      switch family {
      case AF_INET: UInt16(bigEndian: bytes.load(as: sockaddr_in.self).sin_port)
      case AF_INET6: UInt16(bigEndian: bytes.load(as: sockaddr_in6.self).sin6_port)
      default: 0
      }
    }
  }

  func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var copy = storage
    // Safe because every sockaddr type begins with the fields of sockaddr, and the pointer does not outlive the call.
    return withUnsafePointer(to: &copy) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}
