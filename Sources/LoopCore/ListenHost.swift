import CSystem
import Glibc

/// The addresses that the setting `host` means.
struct ListenHost {
  /// One address to bind. For `*` there are two, one of each family.
  struct Candidate {
    let address: Address
    /// Whether an IPv6 socket leaves IPv4 to another socket (IPV6_V6ONLY).
    var isOnlyIPv6 = false
  }

  let candidates: [Candidate]
  /// Whether candidates that this machine does not have may be left out, as long as one remains: a name may have addresses
  /// of both families where the kernel has only one.
  let isAnyEnough: Bool

  /// Reads `*`, a numeric address, an IPv6 address in brackets, or a name, which is resolved. May block for as long as the
  /// name service takes.
  init(_ host: String, port: UInt16) throws(ListenFault.Kind) {
    if host == "*" {
      guard let v4 = Address(numericHost: "0.0.0.0", port: port), let v6 = Address(numericHost: "::", port: port) else {
        throw .notAHost
      }
      candidates = [Candidate(address: v4), Candidate(address: v6, isOnlyIPv6: true)]
      isAnyEnough = true
      return
    }
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    let name = isBracketed ? String(host.dropFirst().dropLast()) : host
    // getaddrinfo takes "*" for no host at all, and other words for names.
    if let address = Address(numericHost: name, port: port) {
      candidates = [Candidate(address: address)]
      isAnyEnough = false
      return
    }
    guard !isBracketed, ListenHost.isName(name) else { throw .notAHost }
    candidates = try ListenHost.resolve(name, port)
    isAnyEnough = true
  }

  /// Letters, digits, dots, dashes and underscores: everything else is a slip, such as a port or a scheme.
  private static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 253
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
      }
  }

  private static func resolve(_ name: String, _ port: UInt16) throws(ListenFault.Kind) -> [Candidate] {
    switch Address.resolve(name, port, flags: AI_NUMERICSERV | AI_PASSIVE) {
    case .success(let addresses):
      guard !addresses.isEmpty else { throw .unknownHost }
      var candidates: [Candidate] = []
      // A file of hosts may name an address twice. Without V6ONLY `::` would take the name's IPv4 address too.
      for address in addresses where !candidates.contains(where: { $0.address.host == address.host }) {
        candidates.append(Candidate(address: address, isOnlyIPv6: true))
      }
      return candidates
    case .failure(let failure): throw failure.isTemporary ? .noNameService : .unknownHost
    }
  }
}
