#pragma once
// Linux calls that the Glibc module does not expose.
// _GNU_SOURCE stays undefined here and in every other shim: it changes the layout of system types (fd_set, rusage), and
// two definitions of one type in one program do not compile. What it would declare is declared below.
#include <malloc.h>
#include <netdb.h>
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

static inline int roost_uring_setup(unsigned entries, unsigned flags, struct io_uring_params *parameters) {
  memset(parameters, 0, sizeof *parameters);
  parameters->flags = flags;
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
