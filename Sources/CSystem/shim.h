#pragma once
// Linux calls that the Glibc module does not expose.
// _GNU_SOURCE stays undefined here and in every other shim: it changes the layout of system types (fd_set, rusage), and
// two definitions of one type in one program do not compile. What it would declare is declared below.
#include <execinfo.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

extern int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
extern int pipe2(int ends[2], int flags);
extern int memfd_create(const char *name, unsigned int flags);

// io_uring: two system calls and memory that the kernel shares (io_uring(7)). There is no function for them in the C
// library, and what this program needs of liburing is what follows.
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

// The headers may be older than the kernel; the numbers are part of its interface.
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

static inline int roost_uring_setup(
    unsigned entries, unsigned completions, unsigned flags, struct io_uring_params *parameters) {
  memset(parameters, 0, sizeof *parameters);
  parameters->flags = flags | (completions ? IORING_SETUP_CQSIZE : 0);
  parameters->cq_entries = completions;
  return (int)syscall(__NR_io_uring_setup, entries, parameters);
}
static inline int roost_uring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags) {
  return (int)syscall(__NR_io_uring_enter, ring, to_submit, min_complete, flags, NULL, 0);
}
// Swift sees none of the entry's unions. What is not written here stays zero from the start.
static inline void roost_uring_fill_send(
    struct io_uring_sqe *entry, int socket, const void *bytes, unsigned count, unsigned long long tag) {
  entry->opcode = IORING_OP_SEND;
  entry->fd = socket;
  entry->addr = (unsigned long long)(size_t)bytes;
  entry->len = count;
  entry->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
  entry->user_data = tag;
}
static inline int roost_uring_socket(const struct io_uring_sqe *entry) { return entry->fd; }
static inline const void *roost_uring_bytes(const struct io_uring_sqe *entry) {
  return (const void *)(size_t)entry->addr;
}
static inline unsigned roost_uring_count(const struct io_uring_sqe *entry) { return entry->len; }
static inline unsigned long long roost_uring_tag(const struct io_uring_sqe *entry) { return entry->user_data; }
// The kernel writes one end of each queue and reads the other.
static inline unsigned roost_load_acquire(const unsigned *number) { return __atomic_load_n(number, __ATOMIC_ACQUIRE); }
static inline void roost_store_release(unsigned *number, unsigned value) {
  __atomic_store_n(number, value, __ATOMIC_RELEASE);
}
// Stores a number, and lets nothing that follows be done before others can see it.
static inline void roost_store_and_fence(unsigned *number, unsigned value) {
  __atomic_store_n(number, value, __ATOMIC_SEQ_CST);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
// Receives again and again, each time into a buffer of the group 0 (IORING_RECV_MULTISHOT).
static inline void roost_uring_fill_receive(struct io_uring_sqe *entry, int socket, unsigned long long tag) {
  entry->opcode = IORING_OP_RECV;
  entry->flags = IOSQE_BUFFER_SELECT;
  entry->ioprio = IORING_RECV_MULTISHOT;
  entry->fd = socket;
  entry->user_data = tag;
}
static inline int roost_uring_register_eventfd(int ring, int descriptor) {
  return (int)syscall(__NR_io_uring_register, ring, IORING_REGISTER_EVENTFD, &descriptor, 1);
}
// Makes `places` the list of the group 0's buffers.
static inline int roost_uring_register_buffers(int ring, struct io_uring_buf *places, unsigned count) {
  struct io_uring_buf_reg group;
  memset(&group, 0, sizeof group);
  group.ring_addr = (unsigned long long)(size_t)places;
  group.ring_entries = count;
  return (int)syscall(__NR_io_uring_register, ring, IORING_REGISTER_PBUF_RING, &group, 1);
}
// Offers a buffer to the kernel. The list's end is kept in a field of its first place that no buffer uses, so a place is
// never written as a whole.
static inline void roost_uring_offer_buffer(
    struct io_uring_buf *places, unsigned short tail, unsigned mask, void *bytes, unsigned count, unsigned short number) {
  struct io_uring_buf *place = &places[tail & mask];
  place->addr = (unsigned long long)(size_t)bytes;
  place->len = count;
  place->bid = number;
  __atomic_store_n(&places[0].resv, (unsigned short)(tail + 1), __ATOMIC_RELEASE);
}

// What a crash writes: the signal and where the program was, as offsets into it. The Swift runtime's own report would print
// registers and the memory they point to, which may hold tokens and messages.
static inline void roost_crash_write(const char *text) {
  ssize_t written = write(2, text, strlen(text));
  (void)written;
}
static inline void roost_crash_handler(int number) {
  const char *name = number == SIGILL ? "SIGILL" : number == SIGTRAP ? "SIGTRAP" : number == SIGSEGV ? "SIGSEGV"
      : number == SIGBUS ? "SIGBUS" : number == SIGFPE ? "SIGFPE" : "SIGABRT";
  void *frames[64];
  int count = backtrace(frames, 64);
  roost_crash_write("\nroost: crashed by ");
  roost_crash_write(name);
  roost_crash_write("; please report it with the lines that follow (addr2line -e PROGRAM OFFSET names their places)\n");
  backtrace_symbols_fd(frames, count, 2);
  // As if nobody had caught it: the status tells the signal, and a core is written where the system wants one.
  signal(number, SIG_DFL);
  raise(number);
}
static inline void roost_report_crashes(void) {
  static char stack[64 * 1024];
  const int numbers[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
  // A stack of its own: the usual one may be what ran over. The first call of backtrace loads libgcc, which a handler may not.
  stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&other, NULL);
  void *frame[1];
  backtrace(frame, 1);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction action = {.sa_handler = roost_crash_handler, .sa_flags = SA_ONSTACK | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(numbers[i], &action, NULL);
  }
}
