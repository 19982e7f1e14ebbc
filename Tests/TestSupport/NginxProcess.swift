import Glibc

/// A real nginx with the project's own configuration, in front of nodes.
package final class NginxProcess {
  package let port: UInt16
  package let process: ChildProcess
  private let folder: String

  /// - Parameters:
  ///   - configuration: the path of `deploy/nginx.conf`.
  ///   - nodes: the ports of the nodes behind it.
  package init(configuration: String, nodes: [UInt16]) throws {
    port = try FreePort.find()
    var template = Array("/tmp/roost-nginx-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw TestFailure("cannot make a folder in /tmp") }
    folder = String(cString: made)
    // Started by root, nginx works as another user, who must get through.
    chmod(folder, 0o755)
    try NginxProcess.write(try NginxProcess.read(configuration), to: folder + "/nginx.conf")
    try NginxProcess.write("listen 127.0.0.1:\(port);\n", to: folder + "/listen.conf")
    let shipped = try NginxProcess.read(configuration.replacing("nginx.conf", with: "upstream.conf"))
    try NginxProcess.write(try NginxProcess.upstream(shipped, nodes: nodes), to: folder + "/upstream.conf")
    do {
      process = try ChildProcess([
        "nginx", "-p", folder, "-e", "stderr", "-c", folder + "/nginx.conf", "-g", "daemon off;",
      ])
    } catch { throw TestFailure("nginx is missing (apt-get install nginx): \(error)") }
    let (port, process) = (port, process)
    try eventually("nginx listens: \(process.output)") {
      process.end() != nil || (try? TCPConnection(port: port)) != nil
    }
    guard process.end() == nil else { throw TestFailure("nginx ended: \(process.output)") }
  }

  deinit {
    process.kill()
    if let remover = try? ChildProcess(["rm", "-rf", folder]) { _ = try? remover.waitForEnd() }
  }

  /// The shipped `upstream.conf` with these nodes in place of Docker's name and without Docker's resolver.
  private static func upstream(_ shipped: String, nodes: [UInt16]) throws -> String {
    let name = "node:8080 resolve"
    guard shipped.split(separator: "\n").contains(where: { !$0.hasPrefix("#") && $0.contains(name) }) else {
      throw TestFailure("deploy/upstream.conf has no server \(name)")
    }
    return shipped.split(separator: "\n").flatMap { line -> [String] in
      if line.hasPrefix("#") || line.hasPrefix("resolver") { return [] }
      guard line.contains(name) else { return [String(line) + "\n"] }
      return nodes.map { String(line.replacing(name, with: "127.0.0.1:\($0)")) + "\n" }
    }.joined()
  }

  private static func read(_ path: String) throws -> String {
    guard let file = fopen(path, "r") else { throw TestFailure("cannot read \(path)") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  private static func write(_ text: String, to path: String) throws {
    guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
    fputs(text, file)
    fclose(file)
  }
}
