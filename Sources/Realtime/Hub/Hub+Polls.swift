// Polls of clients that have no session, and so stand in no roster and in no presence.

extension Hub {
  /// Answers a poll of a room, at once or later, by its `reply`. It is charged to the caller's user or address as one
  /// operation.
  public func poll(_ waiter: PollWaiter) { polls.poll(waiter) }

  /// Ends the wait of a poll: it is answered with what there is, which may be nothing.
  public func endWait(_ waiter: PollWaiter) { polls.endWait(waiter) }

  /// Gives a poll up whose client has gone: it is not answered.
  public func cancel(_ waiter: PollWaiter) { polls.cancel(waiter) }
}
