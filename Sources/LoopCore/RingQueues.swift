import CSystem
import Glibc

/// The two queues of an io_uring and their memory, shared with the kernel (io_uring(7)): entries go in, completions come
/// out. What an entry says is its user's business.
struct RingQueues: ~Copyable {
  let descriptor: Int32
  let entryCount: UInt32
  private let memory: UnsafeMutableRawPointer
  private let memorySize: Int
  private let entries: UnsafeMutablePointer<io_uring_sqe>
  private let entriesSize: Int
  private let submissionTail: UnsafeMutablePointer<UInt32>
  private let submissionMask: UInt32
  private let submissionFlags: UnsafeMutablePointer<UInt32>
  private let completionHead: UnsafeMutablePointer<UInt32>
  private let completionTail: UnsafeMutablePointer<UInt32>
  private let completionMask: UInt32
  private let completionFlags: UnsafeMutablePointer<UInt32>
  private let completions: UnsafeMutablePointer<io_uring_cqe>

  /// Makes the queues. Throws when the kernel has no io_uring that knows `flags`, or refuses it:
  /// `kernel.io_uring_disabled`, a seccomp filter such as a container's.
  ///
  /// - Parameter completionCount: room for completions; 0 for twice the entries.
  init(entryCount: Int, completionCount: Int = 0, flags: UInt32) throws(SystemError) {
    var parameters = io_uring_params()
    let descriptor = roost_uring_setup(UInt32(entryCount), UInt32(completionCount), flags, &parameters)
    guard descriptor >= 0 else { throw SystemError("io_uring_setup") }
    // One mapping for both queues: every kernel that knows the flags has IORING_FEAT_SINGLE_MMAP.
    let memorySize = max(
      Int(parameters.sq_off.array) + Int(parameters.sq_entries) * MemoryLayout<UInt32>.stride,
      Int(parameters.cq_off.cqes) + Int(parameters.cq_entries) * MemoryLayout<io_uring_cqe>.stride)
    let entriesSize = Int(parameters.sq_entries) * MemoryLayout<io_uring_sqe>.stride
    let memory = RingQueues.map(descriptor, memorySize, at: IORING_OFF_SQ_RING)
    let entries = RingQueues.map(descriptor, entriesSize, at: IORING_OFF_SQES)
    guard let memory, let entries else {
      let error = SystemError("mmap io_uring")
      if let memory { munmap(memory, memorySize) }
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    self.memory = memory
    self.memorySize = memorySize
    self.entriesSize = entriesSize
    self.entryCount = parameters.sq_entries
    // Safe because the kernel has laid entries, numbers and completions at these places of what was just mapped.
    self.entries = entries.assumingMemoryBound(to: io_uring_sqe.self)
    func number(_ offset: UInt32) -> UnsafeMutablePointer<UInt32> {
      (memory + Int(offset)).assumingMemoryBound(to: UInt32.self)
    }
    submissionTail = number(parameters.sq_off.tail)
    submissionMask = number(parameters.sq_off.ring_mask).pointee
    submissionFlags = number(parameters.sq_off.flags)
    completionHead = number(parameters.cq_off.head)
    completionTail = number(parameters.cq_off.tail)
    completionMask = number(parameters.cq_off.ring_mask).pointee
    completionFlags = number(parameters.cq_off.flags)
    completions = (memory + Int(parameters.cq_off.cqes)).assumingMemoryBound(to: io_uring_cqe.self)
    // Entries are always used in their own order.
    for i in 0..<parameters.sq_entries { number(parameters.sq_off.array)[Int(i)] = i }
  }

  deinit {
    munmap(entries, entriesSize)
    munmap(memory, memorySize)
    close(descriptor)
  }

  private static func map(_ descriptor: Int32, _ size: Int, at offset: UInt64) -> UnsafeMutableRawPointer? {
    let pages = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, off_t(offset))
    return pages == MAP_FAILED ? nil : pages
  }

  /// The place of the n-th entry of the next submission; `n` is less than `entryCount`.
  @inline(__always)
  func entry(_ n: Int) -> UnsafeMutablePointer<io_uring_sqe> {
    // Safe because the mask keeps the place within the entries. The kernel only reads the tail, and has taken everything
    // before it.
    entries + Int((submissionTail.pointee &+ UInt32(truncatingIfNeeded: n)) & submissionMask)
  }

  /// Hands entries over, and returns how many of them, the first ones, the kernel has taken. `errno` says why not all.
  func submit(_ count: Int) -> Int {
    let tail = submissionTail.pointee
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
    return taken
  }

  /// Shows the completions that are there, and returns their number. `each` may submit, not drain.
  @inline(__always)
  func drain(_ each: (io_uring_cqe) -> Void) -> Int {
    let first = completionHead.pointee
    let end = roost_load_acquire(completionTail)
    var head = first
    while head != end {
      each(completions[Int(head & completionMask)])
      head &+= 1
    }
    roost_store_release(completionHead, head)
    return Int(end &- first)
  }

  /// Lets the kernel post what it has ready, and waits until so many completions are there. Returns false when it fails.
  func collect(atLeast count: Int) -> Bool {
    roost_uring_enter(descriptor, 0, UInt32(count), IORING_ENTER_GETEVENTS) >= 0 || errno == EINTR
  }

  /// Whether all completions that are there were shown.
  var isDrained: Bool { completionHead.pointee == roost_load_acquire(completionTail) }

  /// Whether completions wait for `collect`.
  var hasUncollected: Bool {
    roost_load_acquire(submissionFlags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) != 0
  }

  /// Says whether completions signal the eventfd that was registered.
  func setSignalling(_ isOn: Bool) {
    roost_store_and_fence(completionFlags, isOn ? 0 : IORING_CQ_EVENTFD_DISABLED)
  }
}
