/// A backend, Python's, that decides by what it is asked: it refuses what has `no` in its name, and answers a few names
/// wrongly, late or not at all. It checks every signature. While a file `stall` is in its folder it answers nothing.
package final class DecidingBackend {
  package static let secret = "the secret of the webhook"

  package let port: UInt16
  package let folder: TemporaryFolder
  private var process: ChildProcess?

  private static let program = """
    import hashlib, hmac, http.server, json, os, sys, time, threading
    os.chdir(sys.argv[2])
    secret = sys.argv[3].encode()
    lock = threading.Lock()
    def decide(question):
      event = question['event']
      if event == 'ask_connect':
        cookie = question['headers'].get('cookie') or ''
        name = cookie.split('user=')[1].split(';')[0] if 'user=' in cookie else question.get('user') or question.get('token')
        if not name or 'no' in name: return 200, {'ok': False, 'reason': 'not you'}
        answer = {'ok': True, 'user': name, 'info': {'from': 'backend'}, 'rooms': ['a*', 'r:b', 'no*', 'stalled']}
        if name == 'brief': answer['expires'] = time.time() + 2
        if name == 'root': answer['permissions'] = ['broadcast']
        if name == 'nameless': answer = {'ok': True, 'user': ''}
        return 200, answer
      name = question.get('room') or question.get('action')
      if event == 'ask_message':
        text = question.get('message', {}).get('text', '')
        if 'spam' in text: return 200, {'ok': False, 'reason': 'spam'}
        if 'damn' in text: return 200, {'ok': True, 'data': {'text': text.replace('damn', 'd***')}}
        if 'forge' in text: return 200, {'ok': True, 'data': {'user': 'root'}}
        if 'slow' in text: time.sleep(0.05)
        return 200, {'ok': True}
      if event == 'request' and name == 'sum': return 200, {'ok': True, 'payload': sum(question['payload'])}
      if event == 'request' and name == 'not': return 200, {'ok': False, 'error': {'code': 'odd', 'message': 'not that'}}
      if name == 'a500': return 500, {'ok': True}
      if name == 'a404': return 404, {'ok': True}
      if name == 'a302': return 302, {'ok': True}
      if name == 'garbage': return 200, None
      if name == 'huge': return 200, {'ok': True, 'padding': 'x' * 200000}
      if name.startswith('no'): return 200, {'ok': False, 'reason': 'members only'}
      return 200, {'ok': True}
    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = 'HTTP/1.1'
      def log_message(self, *args): pass
      def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        t, v1 = (part.split('=')[1] for part in self.headers['Roost-Signature'].split(','))
        good = hmac.new(secret, t.encode() + b'.' + body, hashlib.sha256).hexdigest()
        status, answer = (401, {}) if not hmac.compare_digest(good, v1) else (0, {})
        question = json.loads(body)
        with lock: print('asked', json.dumps(question), flush=True)
        while os.path.exists('stall') or (question.get('room') == 'stalled' and os.path.exists('stalled')): time.sleep(0.01)
        if not status: status, answer = decide(question)
        text = b'what?' if answer is None else json.dumps(answer).encode()
        try:
          self.send_response(status)
          if status == 302: self.send_header('Location', '/elsewhere')
          self.send_header('Content-Length', str(len(text)))
          self.end_headers()
          self.wfile.write(text)
        except OSError: pass
    class Server(http.server.ThreadingHTTPServer):
      daemon_threads = True
      request_queue_size = 128
    server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
    print('ready', flush=True)
    server.serve_forever()
    """

  package init() throws {
    folder = try TemporaryFolder()
    port = try FreePort.find()
    try start()
  }

  /// The flags of a node that asks it.
  package func flags(_ decisions: String?, timeout: String = "10s") -> [String] {
    ["--webhook-url", "http://127.0.0.1:\(port)/hook", "--webhook-secret", DecidingBackend.secret]
      + ["--webhook-events", "request", "--webhook-timeout", timeout] + (decisions.map { ["--webhook-ask", $0] } ?? [])
  }

  /// Starts it, or starts it again: what it was asked before is forgotten.
  package func start() throws {
    process = try ChildProcess([
      "python3", "-u", "-c", DecidingBackend.program, "\(port)", folder.path(""), DecidingBackend.secret,
    ])
    _ = try process?.line(with: "ready")
  }

  /// Ends it; nobody listens on its port then.
  package func stop() { process?.kill() }

  /// What it was asked, as JSON, in the order in which it came.
  package var asked: [String] {
    (process?.output ?? "").split(separator: "\n").filter { $0.hasPrefix("asked ") }.map { String($0.dropFirst(6)) }
  }
}
