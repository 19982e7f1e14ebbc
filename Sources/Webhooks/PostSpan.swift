import ClientProtocol
import Realtime
import Transfers

/// The span of one post: from when it was to be sent to its answer or failure.
struct PostSpan {
  /// What the receiver gets: what it does is caused by this.
  let context: TraceContext
  private let cause: TraceContext
  private let links: [TraceContext]
  private let start: UInt64
  private let tracer: Tracer

  /// Begins a span; nil: the trace is not recorded.
  init?(_ cause: TraceContext, links: ArraySlice<TraceContext>, _ tracer: Tracer) {
    guard cause.isSampled else { return nil }
    self.cause = cause
    self.links = Array(links.lazy.filter(\.isSampled).prefix(TraceLimits.linksMax))
    self.tracer = tracer
    context = cause.at(tracer.makeID())
    start = tracer.now
  }

  /// Records it.
  func end(_ result: Result<TransferAnswer, TransferFault>) {
    var span = TraceSpan("webhook post", .client, context, parent: cause.span, from: start, to: tracer.now)
    span.links = links
    span.attributes = [("http.request.method", .text(Array("POST".utf8)))]
    switch result {
    case .success(let answer):
      span.attributes.append(("http.response.status_code", .number(answer.status)))
      if !answer.isSuccess { span.problem = "status \(answer.status)" }
    case .failure(let fault): span.problem = fault.description
    }
    tracer.record(span)
  }
}
