import ClientProtocol
import HTTPCore
import JSONCore

extension RequestHead {
  /// The trace that a request is part of; nil: it has none, or a `traceparent` that is to be ignored.
  var trace: TraceContext? { list(.traceParent).flatMap { TraceContext($0.span) } }
}

/// The trace of an operation on its way to the node that holds its connection.
enum OperationTrace {
  /// Gives an operation the `traceparent` of the request that brought it, as its first member: its own one, which comes later,
  /// counts. An older node passes the member on as any other. What is no object stays as it is.
  static func add(_ trace: TraceContext?, to operation: [UInt8]) -> [UInt8] {
    guard let trace, let brace = operation.firstIndex(where: { !isSpace($0) }), operation[brace] == UInt8(ascii: "{"),
      let next = operation[(brace + 1)...].first(where: { !isSpace($0) })
    else { return operation }
    var text = Array("{\"traceparent\":\"".utf8)
    trace.append(to: &text)
    text.append(UInt8(ascii: "\""))
    if next != UInt8(ascii: "}") { text.append(UInt8(ascii: ",")) }
    return text + operation[(brace + 1)...]
  }

  /// Space of JSON (RFC 8259 section 2).
  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}
