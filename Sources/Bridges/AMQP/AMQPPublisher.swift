import BridgeCore
import CRabbitMQ
import Glibc
import LoopCore
import Settings

/// Writes messages to exchanges of RabbitMQ with publisher confirms: a message is written when the broker has it. Confined to
/// the loop; the connection is on a thread of its own.
final class AMQPPublisher: BridgeSink {
  private struct Order: Sendable {
    let connection: Int
    let token: Int
    let record: OutboundRecord
  }

  private enum Event: Sendable {
    case opened(Int)
    case written([Int])
    case failed([Int])
    case closed(String)
    case ended
  }

  private let log: OnceLog
  private let thread: AMQPThread<Order>
  private var reader: MailboxReader<Event>?
  private var waiting: [Int: (SinkResult) -> Void] = [:]
  private var nextToken = 0
  private var connection = 0
  private(set) var isReady = false
  var readyChanged: () -> Void = {}

  init(_ loop: EventLoop, _ bridge: BridgeSettings, _ log: OnceLog) throws(BridgeFault) {
    self.log = log
    do throws(SystemError) {
      thread = try AMQPThread()
      reader = try MailboxReader(loop) { [weak self] in self?.receive($0) }
    } catch {
      throw BridgeFault(description: String(describing: error))
    }
    guard let box = reader?.mailbox else { return }
    let thread = thread
    let started = HelperThread.start {
      var channel = ConfirmChannel()
      thread.run(bridge) { (connection, ready) throws(BridgeFault) in
        channel.number += 1
        try AMQPPublisher.serve(connection, &channel, thread, ready) { box.post($0) }
      } failed: { fault in
        box.post(.closed(fault.description))
      }
      box.post(.ended)
    }
    guard started else { throw BridgeFault(description: "the system gives no thread") }
  }

  func send(_ record: OutboundRecord, _ done: @escaping (SinkResult) -> Void) {
    guard isReady else { return done(.failed) }
    nextToken += 1
    waiting[nextToken] = done
    thread.post(Order(connection: connection, token: nextToken, record: record))
  }

  /// What was given to the broker cannot be taken back.
  func purge() {}

  func stop() { thread.stop() }

  // MARK: On the loop

  private func receive(_ event: Event) {
    switch event {
    case .opened(let number):
      connection = number
      isReady = true
      log.info("connected to RabbitMQ")
      readyChanged()
    case .written(let tokens): for token in tokens { waiting.removeValue(forKey: token)?(.written) }
    case .failed(let tokens): for token in tokens { waiting.removeValue(forKey: token)?(.failed) }
    case .closed(let reason):
      log.warn("RabbitMQ: \(reason)")
      failAll()
    case .ended: failAll()
    }
  }

  private func failAll() {
    isReady = false
    readyChanged()
    let tokens = waiting.keys.sorted()
    for token in tokens { waiting.removeValue(forKey: token)?(.failed) }
  }

  // MARK: On the thread

  private struct ConfirmChannel {
    var number = 0
    /// Queues for dead letters that are known to be there.
    var queues: Set<[UInt8]> = []
    /// Those that are there with other properties, which closes a channel that declares them.
    var foreign: Set<[UInt8]> = []
    /// The token of each message by its number on the channel, which starts at 1.
    var tokens: [UInt64: Int] = [:]
    var published: UInt64 = 0
    /// Below it nothing waits.
    var confirmed: UInt64 = 0

    /// The tokens that a confirmation names.
    mutating func take(_ tag: UInt64, isMultiple: Bool) -> [Int] {
      guard isMultiple else { return tokens.removeValue(forKey: tag).map { [$0] } ?? [] }
      var taken: [Int] = []
      while confirmed < min(tag, published) {
        confirmed += 1
        if let token = tokens.removeValue(forKey: confirmed) { taken.append(token) }
      }
      return taken
    }
  }

  private static func serve(
    _ connection: AMQPConnection, _ channel: inout ConfirmChannel, _ thread: AMQPThread<Order>, _ ready: () -> Void,
    _ post: (Event) -> Void
  ) throws(BridgeFault) {
    (channel.tokens, channel.published, channel.confirmed) = ([:], 0, 0)
    channel.queues = channel.foreign
    amqp_confirm_select(connection.state, AMQPConnection.channel)
    try connection.check("ask for confirms")
    ready()
    post(.opened(channel.number))
    while true {
      let isStopped = thread.isStopped
      for (index, order) in thread.take().enumerated() where order.connection == channel.number {
        try publish(order, connection, &channel)
        // A broker that cannot send its confirms stops reading.
        if index % 100 == 99 { try readConfirms(connection, &channel, post) }
      }
      guard !isStopped else { return }
      try readConfirms(connection, &channel, post)
      amqp_maybe_release_buffers(connection.state)
      if amqp_frames_enqueued(connection.state) == 0, amqp_data_in_buffer(connection.state) == 0 {
        thread.wait(connection.descriptor)
      }
    }
  }

  private static func publish(
    _ order: Order, _ connection: AMQPConnection, _ channel: inout ConfirmChannel
  ) throws(BridgeFault) {
    let record = order.record
    if record.declaresQueue, channel.queues.insert(record.key).inserted {
      AMQPConnection.with(record.key) {
        _ = amqp_queue_declare(connection.state, AMQPConnection.channel, $0, 0, 1, 0, 0, amqp_table_t())
      }
      do throws(BridgeFault) {
        try connection.check("declare the queue \(String(decoding: record.key, as: UTF8.self))")
      } catch {
        if error.description.contains("PRECONDITION_FAILED") { channel.foreign.insert(record.key) }
        throw error
      }
    }
    channel.published += 1
    channel.tokens[channel.published] = order.token
    let status = AMQPMessage(record).publish(on: connection.state)
    guard status == AMQP_STATUS_OK.rawValue else { throw BridgeFault(description: AMQPConnection.text(status)) }
  }

  private static func readConfirms(
    _ connection: AMQPConnection, _ channel: inout ConfirmChannel, _ post: (Event) -> Void
  ) throws(BridgeFault) {
    for _ in 0..<1000 {
      var frame = amqp_frame_t()
      var timeout = timeval()
      let status = amqp_simple_wait_frame_noblock(connection.state, &frame, &timeout)
      if status == AMQP_STATUS_TIMEOUT.rawValue { return }
      guard status == AMQP_STATUS_OK.rawValue else { throw BridgeFault(description: AMQPConnection.text(status)) }
      var multiple: Int32 = 0
      switch roost_amqp_method(&frame) {
      case AMQPMethod.basicAck:
        let tag = roost_amqp_acked_tag(&frame, &multiple)
        post(.written(channel.take(tag, isMultiple: multiple != 0)))
      case AMQPMethod.basicNack:
        let tag = roost_amqp_nacked_tag(&frame, &multiple)
        post(.failed(channel.take(tag, isMultiple: multiple != 0)))
      default: try AMQPFrame.check(frame)
      }
    }
  }
}

/// A message in the library's form; its parts live as long as it does.
private final class AMQPMessage {
  private var storage: [UnsafeMutableRawBufferPointer] = []
  private let entries: UnsafeMutablePointer<amqp_table_entry_t>
  private let count: Int
  private let target: amqp_bytes_t
  private let key: amqp_bytes_t
  private let body: amqp_bytes_t
  private var properties = amqp_basic_properties_t()

  init(_ record: OutboundRecord) {
    var storage: [UnsafeMutableRawBufferPointer] = []
    func keep(_ bytes: [UInt8]) -> amqp_bytes_t {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
      buffer.copyBytes(from: bytes)
      storage.append(buffer)
      return roost_amqp_bytes(buffer.baseAddress, bytes.count)
    }
    target = keep(Array(record.target.utf8))
    // A short string of AMQP holds 255 bytes.
    key = keep(Array(record.key.prefix(255)))
    body = keep(record.value)
    count = record.headers.count
    entries = .allocate(capacity: max(1, count))
    for (index, header) in record.headers.enumerated() {
      (entries + index).initialize(to: roost_amqp_text_entry(keep(Array(header.name.prefix(128))), keep(header.value)))
    }
    properties._flags =
      UInt32(AMQP_BASIC_CONTENT_TYPE_FLAG) | UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG) | UInt32(AMQP_BASIC_HEADERS_FLAG)
    properties.content_type = keep(Array("application/json".utf8))
    // Kept over a restart of the broker.
    properties.delivery_mode = 2
    properties.headers = amqp_table_t(num_entries: Int32(count), entries: entries)
    if let id = record.id, id.count <= 255 {
      properties._flags |= UInt32(AMQP_BASIC_MESSAGE_ID_FLAG)
      properties.message_id = keep(id)
    }
    self.storage = storage
  }

  deinit {
    for buffer in storage { buffer.deallocate() }
    entries.deallocate()
  }

  func publish(on state: amqp_connection_state_t) -> Int32 {
    amqp_basic_publish(state, AMQPConnection.channel, target, key, 0, 0, &properties, body)
  }
}
