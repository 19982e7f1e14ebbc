import Glibc
import JSONCore

/// An HTTP server, Python's, that keeps what is posted to it. Files in its folder rule what it answers: `status` holds the
/// status of its answers, `body` their body; while `stall` is there it answers nothing.
package final class WebhookReceiver {
  /// One request as it came.
  package struct Request {
    /// Names in lower case.
    package let headers: [String: String]
    package let body: [UInt8]
  }

  package let port: UInt16
  package let folder: TemporaryFolder
  private let scheme: String
  private let command: [String]
  private var process: ChildProcess?

  private static let program = """
    import http.server, os, ssl, sys, time, threading, binascii
    os.chdir(sys.argv[2])
    lock = threading.Lock()
    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = 'HTTP/1.1'
      def log_message(self, *args): pass
      def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in headers: self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
      def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        with lock:
          head = '\\t'.join(name.lower() + ': ' + value for name, value in self.headers.items())
          who = self.client_address[1]
          print('POST', self.path, who, binascii.hexlify(head.encode()).decode() or '-',
            binascii.hexlify(body).decode() or '-', flush=True)
        while os.path.exists('stall'): time.sleep(0.02)
        status = int(open('status').read()) if os.path.exists('status') else 200
        answer = open('body', 'rb').read() if os.path.exists('body') else b'{}'
        self.reply(status, [('Location', '/elsewhere')] if 300 <= status < 400 else [], answer)
      def do_GET(self): self.reply(200, [], b'up')
    class Server(http.server.ThreadingHTTPServer):
      daemon_threads = True
      request_queue_size = 128
    server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
    if len(sys.argv) > 4:
      context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
      context.load_cert_chain(sys.argv[3], sys.argv[4])
      server.socket = context.wrap_socket(server.socket, server_side=True)
    print('ready', flush=True)
    server.serve_forever()
    """

  /// Starts a receiver.
  ///
  /// - Parameter tls: its certificate and key; nil: plain HTTP.
  package init(tls: (certificate: String, key: String)? = nil) throws {
    folder = try TemporaryFolder()
    port = try FreePort.find()
    scheme = tls == nil ? "http" : "https"
    command =
      ["python3", "-u", "-c", WebhookReceiver.program, "\(port)", folder.path("")]
      + (tls.map { [$0.certificate, $0.key] } ?? [])
    try start()
  }

  /// Where it listens.
  package var url: String { "\(scheme)://localhost:\(port)/hook" }

  /// Starts it, or starts it again: what it has received before is forgotten.
  package func start() throws {
    process = try ChildProcess(command)
    _ = try process?.line(with: "ready")
  }

  /// Ends it; nobody listens on its port then.
  package func stop() { process?.kill() }

  /// What came to the given path, or to any, in its order. The port of the sender is in `x-test-peer`.
  package func requests(to path: String? = nil) -> [Request] {
    (process?.output ?? "").split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count == 5, words[0] == "POST", path == nil || words[1] == path! else { return nil }
      var headers = ["x-test-peer": String(words[2])]
      for line in String(decoding: Self.bytes(words[3]), as: UTF8.self).split(separator: "\t") {
        guard let colon = line.firstIndex(of: ":") else { continue }
        headers[String(line[..<colon])] = String(line[line.index(after: colon)...].drop { $0 == " " })
      }
      return Request(headers: headers, body: Self.bytes(words[4]))
    }
  }

  /// The events of all requests, in their order; those of a request that was answered with an error too.
  package func events() throws -> [JSONValue] {
    try requests().flatMap { request in
      let value = try JSONValue.parse(request.body.span)
      return value.asArray ?? [value]
    }
  }

  /// The events with each id once: what a receiver keeps that remembers ids.
  package func distinctEvents() throws -> [JSONValue] {
    var ids: Set<String> = []
    return try events().filter { ids.insert($0["id"]?.asString ?? "").inserted }
  }

  /// Flags of a node that posts here.
  package var flags: [String] { ["--webhook-url", url, "--webhook-secret", WebhookReceiver.secret] }

  /// Signs what comes here.
  package static let secret = "a secret of thirty-two bytes ..."

  private static func bytes(_ hex: Substring) -> [UInt8] {
    let digits = hex.utf8.compactMap { UInt8(String(UnicodeScalar($0)), radix: 16) }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}
