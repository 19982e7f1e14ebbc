import Glibc

/// An authority with certificates that it has signed, made by the `openssl` program in a folder of its own.
package final class Certificates: Sendable {
  /// The folder that holds the PEM files.
  package let folder: String

  /// The authority that the tests trust.
  package var authority: String { folder + "/ca.pem" }
  /// For localhost and 127.0.0.1.
  package var server: (certificate: String, key: String) { pair("server") }
  /// For another host.
  package var stranger: (certificate: String, key: String) { pair("stranger") }
  /// For a client.
  package var client: (certificate: String, key: String) { pair("client") }

  private static let script = """
    set -e
    kind="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    openssl req -x509 $kind -keyout ca.key -out ca.pem -days 2 -subj /CN=roost-test-authority
    sign() {
      openssl req $kind -keyout $1.key -out $1.csr -subj /CN=$1
      openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $1.pem -extfile <(echo "$2")
    }
    sign server subjectAltName=DNS:localhost,IP:127.0.0.1
    sign stranger subjectAltName=DNS:elsewhere.test
    sign client subjectAltName=DNS:client.test
    """

  package init() throws {
    var path = Array("/tmp/roost-test-tls-XXXXXX".utf8CString)
    guard mkdtemp(&path) != nil else { throw TestFailure("cannot make a folder in /tmp") }
    folder = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let process = try ChildProcess(["/bin/bash", "-c", "cd \(folder)\n" + Certificates.script])
    guard try process.waitForEnd() == .exited(0) else { throw TestFailure("openssl failed:\n\(process.output)") }
  }

  deinit {
    for name in ["ca", "server", "stranger", "client"] {
      for end in ["pem", "key", "csr", "srl"] { unlink("\(folder)/\(name).\(end)") }
    }
    rmdir(folder)
  }

  /// What a redis-server is told to speak TLS on `port` with a certificate of this authority.
  package func redisArguments(
    port: some CustomStringConvertible, _ pair: (certificate: String, key: String)? = nil, asksForClients: Bool = false
  ) -> [String] {
    let pair = pair ?? server
    return [
      "--tls-port", "\(port)", "--tls-cert-file", pair.certificate, "--tls-key-file", pair.key,
      "--tls-ca-cert-file", authority, "--tls-auth-clients", asksForClients ? "yes" : "no",
    ]
  }

  private func pair(_ name: String) -> (certificate: String, key: String) {
    ("\(folder)/\(name).pem", "\(folder)/\(name).key")
  }
}
