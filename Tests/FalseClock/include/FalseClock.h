// Preloaded into a process, sets its wall clock off by the milliseconds that stand, as 64 bits, in the file that the
// environment names in FALSE_CLOCK. The file may be written at any time. The monotonic clock goes on as it is.
