import CSystem
import Glibc

/// A TCP socket that is bound to an address, and perhaps listens. Its owner closes it.
public struct BoundSocket: Equatable, Sendable {
  /// Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn (4096 by default).
  private static let backlog: Int32 = 4096
  /// How often another free port is tried when the first address's is taken at the second.
  private static let freePortTriesMax = 16

  public let descriptor: Int32
  /// The port that was bound: the one asked for, or the one the system chose for 0.
  public let port: UInt16

  /// Takes over a socket that is bound already.
  public init(adopting descriptor: Int32) {
    self.descriptor = descriptor
    port = BoundSocket.name(of: descriptor).port
  }

  /// Binds every address of a host to a port, the same for all.
  ///
  /// - Parameters:
  ///   - host: `*` for all addresses of both families, an address, or a name; a name is resolved, which may block.
  ///   - port: 0 takes any free one.
  ///   - portFlag: the flag that sets the port, for the error.
  public static func open(host: String, port: Int, portFlag: String) throws(ListenFault) -> [BoundSocket] {
    var tries = port == 0 ? freePortTriesMax : 1
    while true {
      do throws(ListenFault) {
        return try openOnce(host, port, portFlag)
      } catch {
        tries -= 1
        guard error.kind == .taken, tries > 0 else { throw error }
      }
    }
  }

  /// Finds the addresses that `open` would bind; a name is resolved, which may block. Throws when there are none.
  public static func check(host: String, port: Int, portFlag: String) throws(ListenFault) {
    do throws(ListenFault.Kind) {
      _ = try ListenHost(host, port: UInt16(port))
    } catch {
      throw ListenFault(error, host: host, port: port, portFlag: portFlag)
    }
  }

  private static func openOnce(_ host: String, _ port: Int, _ flag: String) throws(ListenFault) -> [BoundSocket] {
    let places: ListenHost
    do throws(ListenFault.Kind) {
      places = try ListenHost(host, port: UInt16(port))
    } catch {
      throw ListenFault(error, host: host, port: port, portFlag: flag)
    }
    var sockets: [BoundSocket] = []
    var missing: SystemError?
    for place in places.candidates {
      let address = place.address.with(port: sockets.first?.port ?? UInt16(port))
      do throws(SystemError) {
        sockets.append(try open(address, isShared: false, isOnlyIPv6: place.isOnlyIPv6))
      } catch {
        if places.isAnyEnough, error.code == EADDRNOTAVAIL || error.code == EAFNOSUPPORT {
          missing = error
          continue
        }
        for socket in sockets { socket.close() }
        throw ListenFault(error, host: host, port: Int(address.port), portFlag: flag)
      }
    }
    if let missing, sockets.isEmpty { throw ListenFault(missing, host: host, port: port, portFlag: flag) }
    return sockets
  }

  /// Binds one address. Sockets that are shared (SO_REUSEPORT) may have one port together when all of them are; the
  /// kernel spreads connections over those that listen.
  public static func open(
    _ address: Address, isShared: Bool, isOnlyIPv6: Bool = false
  ) throws(SystemError) -> BoundSocket {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.family, type, 0)
    guard descriptor >= 0 else { throw SystemError("socket") }
    // Connections of an earlier process on the port, TIME_WAIT among them, must not keep the next from starting.
    set(descriptor, SOL_SOCKET, SO_REUSEADDR)
    if isShared { set(descriptor, SOL_SOCKET, SO_REUSEPORT) }
    if isOnlyIPv6, address.family == AF_INET6 { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY) }
    // Accepted sockets inherit it: no system call per connection.
    Socket.setNoDelay(descriptor)
    guard address.withSockaddr({ bind(descriptor, $0, $1) }) == 0 else {
      let error = SystemError("bind \(address.host):\(address.port)")
      Socket.close(descriptor)
      throw error
    }
    return BoundSocket(adopting: descriptor)
  }

  /// Binds another socket to the same address and port, for another process. This one must be shared.
  public func twin() throws(SystemError) -> BoundSocket {
    let address = BoundSocket.name(of: descriptor)
    return try BoundSocket.open(
      address, isShared: true, isOnlyIPv6: BoundSocket.get(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY) == 1)
  }

  /// Lets sockets that are bound from now on share the port with this one.
  public func share() { BoundSocket.set(descriptor, SOL_SOCKET, SO_REUSEPORT) }

  /// Lets connections come. Fails when another socket, bound but not shared, has come first.
  public func listen() throws(SystemError) {
    guard Glibc.listen(descriptor, BoundSocket.backlog) == 0 else { throw SystemError("listen on port \(port)") }
  }

  /// Whether connections may come, by way of whichever process.
  public var isListening: Bool { BoundSocket.get(descriptor, SOL_SOCKET, SO_ACCEPTCONN) == 1 }

  /// Lets no more connections come, in whichever process the socket is held too, and closes it here.
  public func end() {
    Socket.shutDown(descriptor)
    close()
  }

  /// Closes it here only.
  public func close() { Socket.close(descriptor) }

  /// Whether a program that this process starts gets the socket too.
  public func setInherited(_ isInherited: Bool) {
    _ = fcntl(descriptor, F_SETFD, isInherited ? 0 : FD_CLOEXEC)
  }

  private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32) {
    var one: Int32 = 1
    setsockopt(descriptor, level, option, &one, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func get(_ descriptor: Int32, _ level: Int32, _ option: Int32) -> Int32 {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(descriptor, level, option, &value, &length) == 0 ? value : 0
  }

  private static func name(of descriptor: Int32) -> Address {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    // Safe because a sockaddr_storage has room for any address, and `length` says so to the kernel.
    _ = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return Address(storage: storage, length: length)
  }
}
