#pragma once
// Linux calls that the Glibc module does not expose.
// _GNU_SOURCE stays undefined here and in every other shim: it changes the layout of system types (fd_set, rusage), and
// two definitions of one type in one program do not compile. What it would declare is declared below.
#include <malloc.h>
#include <netdb.h>
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
