import JSONCore

/// A collector of traces: OTLP over HTTP in JSON, in Python, that checks what is posted to it by the protocol's rules and keeps the
/// spans. Files in its folder rule what it answers: `status` holds the status of its answers, `body` their body; while `stall` is
/// there it answers nothing.
package final class TraceCollector {
  /// One span as it came.
  package struct Span {
    package let node: String
    package let json: JSONValue

    package var trace: String { json["traceId"]?.asString ?? "" }
    package var id: String { json["spanId"]?.asString ?? "" }
    package var parent: String? { json["parentSpanId"]?.asString }
    package var name: String { json["name"]?.asString ?? "" }
    package var kind: Int { json["kind"]?.asInt ?? 0 }

    /// The text or the number of an attribute.
    package func attribute(_ name: String) -> String? {
      let all = json["attributes"]?.asArray ?? []
      let value = all.first { $0["key"]?.asString == name }?["value"]
      return value?["stringValue"]?.asString ?? value?["intValue"]?.asString
    }
  }

  package let port: UInt16
  package let folder: TemporaryFolder
  private var process: ChildProcess?

  private static let program = """
    import http.server, json, os, re, sys, time
    os.chdir(sys.argv[2])
    ID = {'traceId': 32, 'spanId': 16, 'parentSpanId': 16}
    SPAN = {'traceId', 'spanId', 'parentSpanId', 'name', 'kind', 'startTimeUnixNano', 'endTimeUnixNano', 'attributes',
            'links', 'status'}
    def check_ids(each):
      for name, length in ID.items():
        if name in each or name != 'parentSpanId':
          assert re.fullmatch('[0-9a-f]{%d}' % length, each[name]) and int(each[name], 16), (name, each)
    def check_attributes(all):
      for each in all:
        assert set(each) == {'key', 'value'} and len(each['value']) == 1, each
        (kind, value), = each['value'].items()
        assert kind in ('stringValue', 'intValue') and isinstance(value, str), each
      assert len({each['key'] for each in all}) == len(all), all
    def check_span(span):
      assert set(span) <= SPAN and span['name'] and span['kind'] in range(1, 6), span
      check_ids(span)
      for name in ('startTimeUnixNano', 'endTimeUnixNano'): assert isinstance(span[name], str), span
      assert 0 < int(span['startTimeUnixNano']) <= int(span['endTimeUnixNano']), span
      check_attributes(span['attributes'])
      for link in span.get('links', []):
        assert set(link) == {'traceId', 'spanId'}
        check_ids(link | {'parentSpanId': '1' * 16})
      assert span.get('status', {'code': 2})['code'] == 2, span
    def spans(text):
      request = json.loads(text)
      assert set(request) == {'resourceSpans'}
      for resource in request['resourceSpans']:
        check_attributes(resource['resource']['attributes'])
        facts = {each['key']: each['value']['stringValue'] for each in resource['resource']['attributes']}
        assert facts['service.name'] == 'roost' and facts['service.version'], facts
        for scope in resource['scopeSpans']:
          assert scope['scope']['name'] == 'roost'
          for span in scope['spans']:
            check_span(span)
            yield facts['service.instance.id'], span
    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = 'HTTP/1.1'
      def log_message(self, *args): pass
      def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        status, answer = 200, b'{"partialSuccess":{}}'
        try:
          assert self.path == '/v1/traces' and self.headers['Content-Type'] == 'application/json', self.path
          found = list(spans(body))
        except Exception as error:
          print('INVALID', repr(error), flush=True)
          status, found = 400, []
        print('POST', len(found), flush=True)
        while os.path.exists('stall'): time.sleep(0.02)
        if os.path.exists('status'): status = int(open('status').read())
        if os.path.exists('body'): answer = open('body', 'rb').read()
        if status == 200:
          for node, span in found: print('SPAN', node, json.dumps(span), flush=True)
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    class Server(http.server.ThreadingHTTPServer):
      daemon_threads = True
      request_queue_size = 128
    server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
    print('ready', flush=True)
    server.serve_forever()
    """

  /// - Parameter isStarted: whether it listens at once.
  package init(isStarted: Bool = true) throws {
    folder = try TemporaryFolder()
    port = try FreePort.find()
    if isStarted { try start() }
  }

  /// Where it listens, without the path of OTLP.
  package var url: String { "http://localhost:\(port)" }

  /// Starts it, or starts it again: what it has received before is forgotten.
  package func start() throws {
    process = try ChildProcess(["python3", "-u", "-c", TraceCollector.program, "\(port)", folder.path("")])
    _ = try process?.line(with: "ready")
  }

  /// Ends it; nobody listens on its port then.
  package func stop() { process?.kill() }

  private var lines: [Substring] { (process?.output ?? "").split(separator: "\n") }

  /// How many posts came.
  package var postCount: Int { lines.count { $0.hasPrefix("POST ") } }

  /// What broke the protocol's rules.
  package var problems: [String] {
    lines.filter { !$0.hasPrefix("POST ") && !$0.hasPrefix("SPAN ") && $0 != "ready" }.map(String.init)
  }

  /// The spans that were taken, in their order.
  package func spans() throws -> [Span] {
    try lines.filter { $0.hasPrefix("SPAN ") }.map { line in
      let parts = line.split(separator: " ", maxSplits: 2)
      guard parts.count == 3 else { throw TestFailure("no span: \(line)") }
      return Span(node: String(parts[1]), json: try JSONValue.parse(Array(parts[2].utf8).span))
    }
  }
}
