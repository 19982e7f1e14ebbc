import CSystem
import Glibc

/// Sends on many sockets by one system call, through io_uring.
///
/// Bytes are copied into the ring's own memory by `stage`, sends of them noted by `append`, and made by `submit`, which
/// tells what each came to exactly as `Socket.send` would have. No send ever waits, so none is under way once `submit`
/// has returned. Confined to the thread that created it: the kernel takes submissions from no other.
public final class SendRing {
  /// Sends of one system call. What a call costs by itself is nothing beside a hundred sends; more only save memory traffic
  /// between two submissions.
  public static let sendsMax = 1024
  /// Bytes that can be staged between two submissions: 500 messages of 130 bytes.
  public static let stagedBytesMax = 64 * 1024
  /// With fewer sends than this the ring costs as much as it saves, so they are made one by one.
  public static let sendsMin = 8

  /// Bytes in the ring's memory. They stay until the next `submit`.
  public struct Staged {
    fileprivate let start: Int
    fileprivate let byteCount: Int
    fileprivate let round: UInt64
  }

  private let descriptor: Int32
  private let queues: UnsafeMutableRawPointer
  private let queuesSize: Int
  private let entries: UnsafeMutablePointer<io_uring_sqe>
  private let entriesSize: Int
  private let submissionTail: UnsafeMutablePointer<UInt32>
  private let submissionMask: UInt32
  private let completionHead: UnsafeMutablePointer<UInt32>
  private let completionTail: UnsafeMutablePointer<UInt32>
  private let completionMask: UInt32
  private let completions: UnsafeMutablePointer<io_uring_cqe>
  private let memory: UnsafeMutableRawBufferPointer
  private var stagedBytes = 0
  /// Submissions so far: what was staged in another round is gone.
  private var round: UInt64 = 0
  /// Where the next submission begins; the kernel has taken everything before it.
  private var tail: UInt32 = 0
  /// Sends noted since the last `submit`.
  public private(set) var count = 0

  public var isFull: Bool { count == SendRing.sendsMax }

  /// Makes a ring. Throws when the kernel has no io_uring of Linux 6.0 or later, or refuses it: `kernel.io_uring_disabled`,
  /// a seccomp filter such as a container's.
  public init() throws(SystemError) {
    var parameters = io_uring_params()
    // The kernel rounds up to a power of two; there are twice as many completions, so with all of them taken after every
    // submission none can be without a place. SUBMIT_ALL: one bad entry does not hold up those behind it. The other two
    // spare the kernel interrupts and locks that only several threads would need.
    let flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER
    descriptor = roost_uring_setup(UInt32(SendRing.sendsMax), flags, &parameters)
    guard descriptor >= 0 else { throw SystemError("io_uring_setup") }
    // One mapping for both queues: every kernel that knows the flags has IORING_FEAT_SINGLE_MMAP.
    queuesSize = max(
      Int(parameters.sq_off.array) + Int(parameters.sq_entries) * MemoryLayout<UInt32>.stride,
      Int(parameters.cq_off.cqes) + Int(parameters.cq_entries) * MemoryLayout<io_uring_cqe>.stride)
    entriesSize = Int(parameters.sq_entries) * MemoryLayout<io_uring_sqe>.stride
    let queues = SendRing.map(descriptor, queuesSize, at: IORING_OFF_SQ_RING)
    let entries = SendRing.map(descriptor, entriesSize, at: IORING_OFF_SQES)
    guard let queues, let entries else {
      let error = SystemError("mmap io_uring")
      if let queues { munmap(queues, queuesSize) }
      close(descriptor)
      throw error
    }
    self.queues = queues
    // Safe because the kernel has laid entries, numbers and completions at these places of what was just mapped.
    self.entries = entries.assumingMemoryBound(to: io_uring_sqe.self)
    func number(_ offset: UInt32) -> UnsafeMutablePointer<UInt32> {
      (queues + Int(offset)).assumingMemoryBound(to: UInt32.self)
    }
    submissionTail = number(parameters.sq_off.tail)
    submissionMask = number(parameters.sq_off.ring_mask).pointee
    completionHead = number(parameters.cq_off.head)
    completionTail = number(parameters.cq_off.tail)
    completionMask = number(parameters.cq_off.ring_mask).pointee
    completions = (queues + Int(parameters.cq_off.cqes)).assumingMemoryBound(to: io_uring_cqe.self)
    // Entries are always used in their own order.
    for i in 0..<parameters.sq_entries { number(parameters.sq_off.array)[Int(i)] = i }
    memory = .allocate(byteCount: SendRing.stagedBytesMax, alignment: 64)
    try tryOut()
  }

  /// Sends a byte to itself: what a filter or an emulation of the kernel refuses later would look like a broken peer.
  private func tryOut() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw SystemError("socketpair") }
    defer { for end in ends { close(end) } }
    var code = ENOSYS
    guard let byte = stage(byteCount: 1, { $0[0] = 0 }), append(ends[0], byte, tag: 0) else { return }
    let taken = submitToKernel { _, transfer in
      switch transfer {
      case .bytes: code = 0
      case .failed(let error): code = error
      case .wouldBlock, .end: break
      }
    }
    if taken == 0, errno != 0 { code = errno }
    startRound(behind: taken)
    if code != 0 { throw SystemError("io_uring send", code: code) }
  }

  deinit {
    munmap(entries, entriesSize)
    munmap(queues, queuesSize)
    close(descriptor)
    memory.deallocate()
  }

  private static func map(_ descriptor: Int32, _ size: Int, at offset: UInt64) -> UnsafeMutableRawPointer? {
    let pages = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, off_t(offset))
    return pages == MAP_FAILED ? nil : pages
  }

  /// Takes room for bytes, which `fill` writes, whole. Returns nil when there is no room left before the next `submit`.
  public func stage(
    byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void
  ) -> Staged? {
    guard byteCount <= SendRing.stagedBytesMax - stagedBytes else { return nil }
    // Safe because the range was just seen to lie within the memory.
    fill(UnsafeMutableRawBufferPointer(rebasing: memory[stagedBytes..<(stagedBytes + byteCount)]))
    defer { stagedBytes += byteCount }
    return Staged(start: stagedBytes, byteCount: byteCount, round: round)
  }

  /// Notes a send. A socket may have one at a time: the next depends on what became of the one before. It must stay open
  /// until `submit`.
  ///
  /// - Parameter tag: comes back with the result.
  /// - Returns: false when there is no place left before the next `submit`, or the bytes were staged before the last.
  @inline(__always)
  public func append(_ socket: Int32, _ bytes: Staged, tag: UInt64) -> Bool {
    guard bytes.round == round, !isFull else { return false }
    // Safe because staged ranges lie within the memory, and the mask keeps the place within the entries.
    roost_uring_fill_send(
      entry(count), socket, memory.baseAddress! + bytes.start, UInt32(truncatingIfNeeded: bytes.byteCount), tag)
    count += 1
    return true
  }

  /// Makes all sends that were noted, in their order, and tells what each came to, not always in that order.
  ///
  /// - Parameter each: must not use the ring.
  public func submit(_ each: (_ tag: UInt64, _ transfer: Transfer) -> Void) {
    let taken = count < SendRing.sendsMin ? 0 : submitToKernel(each)
    // Too few to be worth it, or the kernel has taken no more of them.
    for i in taken..<count {
      let bytes = UnsafeRawBufferPointer(start: roost_uring_bytes(entry(i)), count: Int(roost_uring_count(entry(i))))
      each(roost_uring_tag(entry(i)), Socket.send(roost_uring_socket(entry(i)), bytes))
    }
    startRound(behind: taken)
  }

  private func startRound(behind taken: Int) {
    tail &+= UInt32(taken)
    count = 0
    stagedBytes = 0
    round += 1
  }

  /// Hands the entries over and waits for the end of those that were taken, which come first. Returns their number.
  private func submitToKernel(_ each: (UInt64, Transfer) -> Void) -> Int {
    roost_store_release(submissionTail, tail &+ UInt32(count))
    var taken = 0
    while taken < count {
      let more = roost_uring_enter(descriptor, UInt32(count - taken), 0, 0)
      if more > 0 {
        taken += Int(more)
      } else if more == 0 || errno != EINTR {
        break
      }
    }
    // What is left is not to be taken later.
    roost_store_release(submissionTail, tail &+ UInt32(taken))
    collect(taken, each)
    return taken
  }

  private func collect(_ wanted: Int, _ each: (UInt64, Transfer) -> Void) {
    var seen = 0
    while seen < wanted {
      var head = completionHead.pointee
      let end = roost_load_acquire(completionTail)
      if head == end {
        // Sends that do not wait have ended when they are handed over. Where that is not so, the kernel is waited for.
        let code = roost_uring_enter(descriptor, 0, UInt32(wanted - seen), IORING_ENTER_GETEVENTS)
        precondition(code >= 0 || errno == EINTR, "io_uring does not tell what became of a send")
      }
      while head != end {
        let completion = completions[Int(head & completionMask)]
        each(completion.user_data, SendRing.transfer(completion.res))
        head &+= 1
        seen += 1
      }
      roost_store_release(completionHead, head)
    }
  }

  /// The place of the n-th send of this round.
  private func entry(_ n: Int) -> UnsafeMutablePointer<io_uring_sqe> {
    entries + Int((tail &+ UInt32(truncatingIfNeeded: n)) & submissionMask)
  }

  private static func transfer(_ result: Int32) -> Transfer {
    if result >= 0 { return .bytes(Int(result)) }
    return result == -EAGAIN || result == -EINTR ? .wouldBlock : .failed(-result)
  }
}

@available(*, unavailable)
extension SendRing: Sendable {}
