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

  private let ring: RingQueues
  private let memory: UnsafeMutableRawBufferPointer
  private var stagedBytes = 0
  /// Submissions so far: what was staged in another round is gone.
  private var round: UInt64 = 0
  /// Sends noted since the last `submit`.
  public private(set) var count = 0

  public var isFull: Bool { count == SendRing.sendsMax }

  /// Makes a ring. Throws when the kernel has no io_uring of Linux 6.0 or later, or refuses it: `kernel.io_uring_disabled`,
  /// a seccomp filter such as a container's.
  public init() throws(SystemError) {
    // There are twice as many completions as entries, so with all of them taken after every submission none can be
    // without a place. SUBMIT_ALL: one bad entry does not hold up those behind it. The other two spare the kernel
    // interrupts and locks that only several threads would need.
    ring = try RingQueues(
      entryCount: SendRing.sendsMax,
      flags: IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER)
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
    startRound()
    if code != 0 { throw SystemError("io_uring send", code: code) }
  }

  deinit { memory.deallocate() }

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
    // Safe because staged ranges lie within the memory.
    roost_uring_fill_send(
      ring.entry(count), socket, memory.baseAddress! + bytes.start, UInt32(truncatingIfNeeded: bytes.byteCount), tag)
    count += 1
    return true
  }

  /// Makes all sends that were noted, in their order, and tells what each came to, not always in that order.
  ///
  /// - Parameter each: must not use the ring.
  public func submit(_ each: (_ tag: UInt64, _ transfer: Transfer) -> Void) {
    let taken = count < SendRing.sendsMin ? 0 : submitToKernel(each)
    // Too few to be worth it, or the kernel has taken no more of them: they stand where the next round begins.
    for i in 0..<(count - taken) {
      let entry = ring.entry(i)
      let bytes = UnsafeRawBufferPointer(start: roost_uring_bytes(entry), count: Int(roost_uring_count(entry)))
      each(roost_uring_tag(entry), Socket.send(roost_uring_socket(entry), bytes))
    }
    startRound()
  }

  private func startRound() {
    count = 0
    stagedBytes = 0
    round += 1
  }

  /// Hands the sends over and waits for the end of those that were taken, which come first. Returns their number.
  private func submitToKernel(_ each: (UInt64, Transfer) -> Void) -> Int {
    let taken = ring.submit(count)
    var seen = 0
    while seen < taken {
      let number = ring.drain { each($0.user_data, SendRing.transfer($0.res)) }
      seen += number
      // Sends that do not wait have ended when they are handed over. Where that is not so, the kernel is waited for.
      if number == 0 { precondition(ring.collect(atLeast: 1), "io_uring does not tell what became of a send") }
    }
    return taken
  }

  private static func transfer(_ result: Int32) -> Transfer {
    if result >= 0 { return .bytes(Int(result)) }
    return result == -EAGAIN || result == -EINTR ? .wouldBlock : .failed(-result)
  }
}

@available(*, unavailable)
extension SendRing: Sendable {}
