import CSystem
import Glibc

/// Receives on many sockets through io_uring: a socket is handed over once, and its bytes come by themselves, those of
/// many sockets by one system call.
///
/// The kernel writes into buffers that all sockets share. After `begin` for each socket it takes turns of `receive` and
/// `drain` while something comes and there may be more, then `awaitMore`, and again when `wakeDescriptor` is readable.
/// Confined to the thread that created it: the kernel talks to no other.
public final class ReceiveRing {
  /// What came of receiving on a socket.
  public enum Event {
    /// Bytes, which may be changed and are gone when the call ends.
    case bytes(UnsafeMutableRawBufferPointer)
    /// The peer has closed. Nothing follows.
    case end
    /// The value of `errno`. Nothing follows.
    case failed(Int32)
    /// Nothing follows before the socket is handed over again: all buffers were in use, say.
    case paused
  }

  /// Bytes received at a time: many small messages come at once.
  public static let bufferBytes = 16 * 1024
  /// Buffers of all sockets together: some ten times what one system call fills, and 2 MiB are no burden for the cache.
  /// Where they do not do, sockets are paused.
  public static let buffersMax = 128
  /// Completions that have a place; more wait in the kernel.
  private static let completionsMax = 4096
  /// Sockets handed over by one system call.
  private static let entriesMax = 256

  /// Readable, edge-triggered, when there is something to receive. It is never read.
  public let wakeDescriptor: Int32
  private let ring: RingQueues
  private let memory: UnsafeMutableRawBufferPointer
  private let places: UnsafeMutablePointer<io_uring_buf>
  /// Buffers offered to the kernel so far, modulo 2^16.
  private var offered: UInt16 = 0
  /// Sockets to hand over.
  private var pending = 0
  /// Whether what comes signals `wakeDescriptor`.
  private var isSignalling = true
  /// Whether the kernel did not take a socket.
  private var hasFailed = false

  /// Makes a ring. Throws when the kernel has no io_uring of Linux 6.1 or later, or refuses it: `kernel.io_uring_disabled`,
  /// a seccomp filter such as a container's.
  public init() throws(SystemError) {
    wakeDescriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard wakeDescriptor >= 0 else { throw SystemError("eventfd") }
    do {
      // DEFER_TASKRUN: bytes are received when they are asked for, a few sockets at a time, so that the buffers stay in
      // the cache. TASKRUN_FLAG: whether there are any shows without a system call.
      ring = try RingQueues(
        entryCount: ReceiveRing.entriesMax, completionCount: ReceiveRing.completionsMax,
        flags: IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
          | IORING_SETUP_TASKRUN_FLAG)
    } catch {
      close(wakeDescriptor)
      throw error
    }
    let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
    let listBytes = ReceiveRing.buffersMax * MemoryLayout<io_uring_buf>.stride
    memory = .allocate(
      byteCount: ReceiveRing.buffersMax * ReceiveRing.bufferBytes + listBytes, alignment: pageBytes)
    // Safe because the list stands behind the buffers, at the beginning of a page, and nothing else does.
    places = (memory.baseAddress! + ReceiveRing.buffersMax * ReceiveRing.bufferBytes)
      .initializeMemory(as: io_uring_buf.self, repeating: io_uring_buf(), count: ReceiveRing.buffersMax)
    guard roost_uring_register_buffers(ring.descriptor, places, UInt32(ReceiveRing.buffersMax)) == 0,
      roost_uring_register_eventfd(ring.descriptor, wakeDescriptor) == 0
    else { throw SystemError("io_uring_register") }
    for number in 0..<ReceiveRing.buffersMax { offer(UInt16(number)) }
    try tryOut()
  }

  deinit {
    close(wakeDescriptor)
    memory.deallocate()
  }

  /// Receives a byte from itself: what a filter or an emulation of the kernel refuses later would look like a silent peer.
  private func tryOut() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw SystemError("socketpair") }
    defer { close(ends[0]) }
    var byte: UInt8 = 0
    guard begin(ends[0], tag: 0), handOver(), send(ends[1], &byte, 1, 0) == 1 else {
      let error = SystemError("io_uring receive")
      close(ends[1])
      throw error
    }
    close(ends[1])
    var events = 0
    var code = ENOSYS
    // The byte, then the end.
    while events < 2, ring.collect(atLeast: 1) {
      _ = drain { _, event in
        events += 1
        switch event {
        case .bytes: break
        case .end: code = events == 2 ? 0 : ENOSYS
        case .failed(let error): (code, events) = (error, 2)
        case .paused: events = 2
        }
      }
    }
    if code != 0 { throw SystemError("io_uring receive", code: code) }
  }

  /// Hands a socket over. It is received from until an event after which nothing follows. Until then a `close` of it has
  /// no effect for the peer: shut it down first.
  ///
  /// - Parameter tag: comes with every event.
  /// - Returns: false when the kernel does not take it.
  public func begin(_ socket: Int32, tag: UInt64) -> Bool {
    if pending == Int(ring.entryCount) { _ = handOver() }
    guard !hasFailed else { return false }
    roost_uring_fill_receive(ring.entry(pending), socket, tag)
    pending += 1
    return true
  }

  /// Hands over what `begin` has noted.
  private func handOver() -> Bool {
    if pending > 0, ring.submit(pending) < pending { hasFailed = true }
    pending = 0
    return !hasFailed
  }

  /// Lets the kernel receive on some of the sockets that are readable. Returns false when it refuses to go on.
  public func receive() -> Bool {
    // While it works nobody needs to wake it.
    signal(false)
    return handOver() && ring.collect(atLeast: 0)
  }

  /// Whether there may be something to `receive`. The kernel says yes a moment after it has put work on its list, and so
  /// sometimes when `receive` has done that work already: then it is yes until something else comes.
  public var hasMore: Bool { pending > 0 || ring.hasUncollected || !ring.isDrained }

  /// Makes `wakeDescriptor` tell of what comes from now on. Returns false when there is something already: then it is to be
  /// received before anything is waited for.
  public func awaitMore() -> Bool {
    _ = handOver()
    signal(true)
    guard hasMore else { return true }
    // Only to look tells whether that is so. What comes later than this finds the signal on.
    return ring.collect(atLeast: 0) && ring.isDrained
  }

  private func signal(_ isOn: Bool) {
    guard isOn != isSignalling else { return }
    isSignalling = isOn
    ring.setSignalling(isOn)
  }

  /// Tells what came with `receive`, and returns how many events that were. `each` may call `begin`.
  @inline(__always)
  public func drain(_ each: (_ tag: UInt64, _ event: Event) -> Void) -> Int {
    ring.drain { completion in
      let hasBuffer = completion.flags & IORING_CQE_F_BUFFER != 0
      if completion.res > 0, hasBuffer {
        let number = UInt16(truncatingIfNeeded: completion.flags >> 16)
        // Safe because the kernel has filled so much of this buffer, and no more, and has it back only after the call.
        each(
          completion.user_data,
          .bytes(UnsafeMutableRawBufferPointer(start: buffer(number), count: Int(completion.res))))
        offer(number)
        if completion.flags & IORING_CQE_F_MORE == 0 { each(completion.user_data, .paused) }
        return
      }
      if hasBuffer { offer(UInt16(truncatingIfNeeded: completion.flags >> 16)) }
      switch -completion.res {
      case 0: each(completion.user_data, .end)
      case ENOBUFS, EINTR, EAGAIN: each(completion.user_data, .paused)
      case let code: each(completion.user_data, .failed(code))
      }
    }
  }

  private func buffer(_ number: UInt16) -> UnsafeMutableRawPointer {
    // Safe because the kernel knows only the numbers it was offered.
    memory.baseAddress! + Int(number) * ReceiveRing.bufferBytes
  }

  private func offer(_ number: UInt16) {
    roost_uring_offer_buffer(
      places, offered, UInt32(ReceiveRing.buffersMax - 1), buffer(number), UInt32(ReceiveRing.bufferBytes), number)
    offered &+= 1
  }
}

@available(*, unavailable)
extension ReceiveRing: Sendable {}
