import BridgeCore
import CRabbitMQ
import Glibc
import LoopCore
import Settings
import TimeCore

/// Reads one queue of RabbitMQ. It consumes exclusively: one process of the cluster has the queue, so its order stays, and
/// the others try until it is free. Confined to the loop; the connection is on a thread of its own.
final class AMQPConsumer: InboundSource {
  /// Messages that the broker sends before they are acknowledged: what a lane holds is bounded by it.
  private static let prefetch: UInt16 = 1000

  private struct Ack: Sendable {
    let connection: Int
    let tag: UInt64
  }

  private enum Event: Sendable {
    case opened(Int)
    case message(Int, tag: UInt64, InboundRecord)
    case failed(String, isExpected: Bool)
    case ended
  }

  private let log: OnceLog
  private let queue: String
  private let makeLane: () -> InLane
  private let thread: AMQPThread<Ack>
  private var reader: MailboxReader<Event>?
  private var lane: InLane?
  private var connection = 0
  private var isStopping = false
  private(set) var hasEnded = false

  init(
    _ loop: EventLoop, _ bridge: BridgeSettings, queue: String, _ log: OnceLog, makeLane: @escaping () -> InLane
  ) throws(BridgeFault) {
    (self.log, self.queue, self.makeLane) = (log, queue, makeLane)
    do throws(SystemError) {
      thread = try AMQPThread()
      reader = try MailboxReader(loop) { [weak self] in self?.receive($0) }
    } catch {
      throw BridgeFault(description: String(describing: error))
    }
    guard let box = reader?.mailbox else { return }
    let thread = thread
    let started = HelperThread.start {
      var number = 0
      thread.run(bridge) { (connection, ready) throws(BridgeFault) in
        number += 1
        try AMQPConsumer.serve(connection, number, queue: queue, thread, ready) { box.post($0) }
      } failed: { fault in
        // Another process has the queue.
        box.post(.failed(fault.description, isExpected: fault.description.contains("exclusive")))
      }
      box.post(.ended)
    }
    guard started else { throw BridgeFault(description: "the system gives no thread") }
  }

  var lag: Int { lane?.count ?? 0 }
  var isQuiet: Bool { lane?.inFlight ?? 0 == 0 }

  func beginStop() {
    isStopping = true
    lane?.close()
  }

  func stop() { thread.stop() }

  // MARK: On the loop

  private func receive(_ event: Event) {
    switch event {
    case .opened(let number):
      connection = number
      log.info("consumes the queue \(queue)")
      let lane = makeLane()
      lane.confirm = { [weak self] tag in self?.thread.post(Ack(connection: number, tag: tag)) }
      if isStopping { lane.close() }
      self.lane = lane
    case .message(let number, let tag, let record):
      guard number == connection else { return }
      lane?.receive(record, tag: tag)
    case .failed(let reason, let isExpected):
      // What the broker had sent comes again; what is on its way to Redis is recognised by its id.
      lane?.close()
      lane?.confirm = { _ in }
      lane = nil
      if isExpected {
        log.info("another process consumes the queue \(queue)")
      } else {
        log.warn("RabbitMQ: \(reason)")
      }
    case .ended:
      lane = nil
      hasEnded = true
    }
  }

  // MARK: On the thread

  private static func serve(
    _ connection: AMQPConnection, _ number: Int, queue: String, _ thread: AMQPThread<Ack>, _ ready: () -> Void,
    _ post: (Event) -> Void
  ) throws(BridgeFault) {
    let (state, channel) = (connection.state, AMQPConnection.channel)
    amqp_basic_qos(state, channel, 0, prefetch, 0)
    try connection.check("set the prefetch")
    AMQPConnection.with(Array(queue.utf8)) {
      _ = amqp_basic_consume(state, channel, $0, amqp_bytes_t(), 0, 0, 1, amqp_table_t())
    }
    try connection.check("consume the queue \(queue)")
    ready()
    post(.opened(number))
    while true {
      let isStopped = thread.isStopped
      if let last = thread.take().last(where: { $0.connection == number }) {
        // All before it, too: a lane confirms in order.
        let status = amqp_basic_ack(state, channel, last.tag, 1)
        guard status == AMQP_STATUS_OK.rawValue else { throw BridgeFault(description: AMQPConnection.text(status)) }
      }
      // What came before the end was acknowledged just now.
      guard !isStopped else { return }
      try consume(connection, number, queue, post)
      amqp_maybe_release_buffers(state)
      if amqp_frames_enqueued(state) == 0, amqp_data_in_buffer(state) == 0 { thread.wait(connection.descriptor) }
    }
  }

  /// Takes what has come, some hundred messages at the most.
  private static func consume(
    _ connection: AMQPConnection, _ number: Int, _ queue: String, _ post: (Event) -> Void
  ) throws(BridgeFault) {
    for _ in 0..<500 {
      var envelope = amqp_envelope_t()
      var timeout = timeval()
      let reply = amqp_consume_message(connection.state, &envelope, &timeout, 0)
      if reply.reply_type == AMQP_RESPONSE_NORMAL {
        post(.message(number, tag: envelope.delivery_tag, record(envelope, queue)))
        amqp_destroy_envelope(&envelope)
        continue
      }
      guard reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION else {
        return try AMQPConnection.check(reply, "consume")
      }
      if reply.library_error == AMQP_STATUS_TIMEOUT.rawValue { return }
      guard reply.library_error == AMQP_STATUS_UNEXPECTED_STATE.rawValue else {
        return try AMQPConnection.check(reply, "consume")
      }
      // A frame that is no delivery: the channel or the connection is closed, or the queue was deleted.
      var frame = amqp_frame_t()
      var none = timeval()
      let status = amqp_simple_wait_frame_noblock(connection.state, &frame, &none)
      guard status == AMQP_STATUS_OK.rawValue else { throw BridgeFault(description: AMQPConnection.text(status)) }
      try AMQPFrame.check(frame)
    }
  }

  private static func record(_ envelope: amqp_envelope_t, _ queue: String) -> InboundRecord {
    let properties = envelope.message.properties
    var headers: [(name: [UInt8], value: [UInt8])] = []
    if properties._flags & UInt32(AMQP_BASIC_HEADERS_FLAG) != 0, let entries = properties.headers.entries {
      var digits = [CChar](repeating: 0, count: 32)
      for index in 0..<Int(properties.headers.num_entries) {
        let entry = entries[index]
        let value = digits.withUnsafeMutableBufferPointer {
          AMQPConnection.bytes(roost_amqp_field_text(entry.value, $0.baseAddress))
        }
        headers.append((AMQPConnection.bytes(entry.key), value))
      }
    }
    let hasID = properties._flags & UInt32(AMQP_BASIC_MESSAGE_ID_FLAG) != 0
    return InboundRecord(
      source: Array(queue.utf8), key: AMQPConnection.bytes(envelope.routing_key), headers: headers,
      value: AMQPConnection.bytes(envelope.message.body), id: hasID ? AMQPConnection.bytes(properties.message_id) : nil)
  }
}

/// What frames say that were not expected.
enum AMQPFrame {
  /// Throws when a frame ends the channel or the connection.
  static func check(_ frame: amqp_frame_t) throws(BridgeFault) {
    guard frame.frame_type == UInt8(AMQP_FRAME_METHOD) else { return }
    let method = frame.payload.method
    var code: Int32 = 0
    switch method.id {
    case AMQPMethod.channelClose, AMQPMethod.connectionClose:
      let reason = String(decoding: AMQPConnection.bytes(roost_amqp_close_reason(method, &code)), as: UTF8.self)
      throw BridgeFault(description: "\(reason) (\(code))")
    case AMQPMethod.basicCancel: throw BridgeFault(description: "the queue was deleted, or its node has ended")
    default: return
    }
  }
}

/// Numbers of methods (AMQP 0-9-1, amqp_framing.h).
enum AMQPMethod {
  static let connectionClose: UInt32 = 0x000A_0032
  static let channelClose: UInt32 = 0x0014_0028
  static let basicCancel: UInt32 = 0x003C_001E
  static let basicAck: UInt32 = 0x003C_0050
  static let basicNack: UInt32 = 0x003C_0078
}
