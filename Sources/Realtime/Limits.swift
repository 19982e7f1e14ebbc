/// The fixed limits of rooms and recovery. Settings that operators may change arrive in `HubConfiguration`.
public enum Limits {
  /// Bytes that a room gathers in one tick before they are delivered early. Larger batches save no more system calls
  /// worth having (at 64 KiB a send carries hundreds of messages) and would delay the first message in them.
  public static let batchBytesMax = 64 * 1024

  /// Operations of one connection that wait until a room they name is joined. A join takes a round trip to Redis; who sends
  /// more in that time is refused with `unavailable`.
  public static let postponedOperationsMax = 1000

  /// Bytes of operations of one connection that wait while its token is judged. Judging takes longer than a moment only
  /// when keys must be fetched first; who sends more before it is known is refused with `unauthenticated`.
  public static let unjudgedBytesMax = 64 * 1024
  /// The same of all connections together: a quarter of what may wait for the broker, so that strangers with tokens of
  /// unknown keys cannot stop the node's readers. Who sends more is refused with `unavailable`.
  public static let unjudgedNodeBytesMax = 8 * 1024 * 1024

  /// Operations of one connection that wait for decisions of others, that one included which is being decided on. Before
  /// that the connection is read no further, so only what was read already can come to this; it is refused with
  /// `rate_limited`.
  public static let questionsPerSessionMax = 1000
  /// Bytes of them. One operation may wait however large it is.
  public static let questionBytesPerSessionMax = 1024 * 1024
  /// The same of all connections and requests of a node: what is held while a decider is silent for its time-out. One more is
  /// refused with `unavailable`.
  public static let questionsMax = 50_000
  public static let questionBytesMax = 32 * 1024 * 1024

  /// Closed connections whose rates are remembered, at some 250 bytes each: more than close within ten seconds right after
  /// having sent much. Beyond it the oldest is forgotten, and its user may send a burst more.
  public static let recentRateLimitersMax = 10_000
  /// Milliseconds for which they are remembered, at the most: ten minutes, for rates far below the burst.
  public static let recentRateLimiterMillisecondsMax: UInt64 = 600_000

  /// Counters of direct messages, 32 bytes each: a user's name chooses one. With so many, 27,000 messages a second to
  /// invented names take two a second from each counter.
  public static let receiverCounters = 16_384

  /// Bytes of a user's name. A direct message to a longer one is refused: no user has it.
  public static let userNameBytesMax = 200

  /// Milliseconds before a token expires at which its connection gets `token_expires`: a new token takes a request or two.
  public static let expiryNoticeMilliseconds: UInt64 = 20_000

  /// Milliseconds for which the delivery of an incoming hook is remembered. Stripe delivers an event again for three days, and
  /// GitHub lets people do so for as long.
  public static let hookDeliveryMilliseconds = 3 * 24 * 60 * 60 * 1000
  /// Deliveries of one hook that are remembered for that long; of more the oldest are forgotten. Each takes some 150 bytes.
  public static let hookDeliveriesMax = 10_000

  /// Milliseconds for which a message's `id` is remembered. Beyond it a retry is published again.
  public static let dedupeMilliseconds: UInt64 = 5 * 60 * 1000

  /// Bytes in which ids are remembered when no `dedupe-memory` is set: some 650,000 ids, those of five minutes at 2,100
  /// messages a second. Beyond it the oldest are forgotten, and counted.
  public static let dedupeBytesDefault = 32 << 20

  /// Milliseconds that a room lives which everybody has left and nobody has published in: who comes back within it finds the
  /// same epoch. Beyond it a name that was used once costs nothing.
  public static let unusedRoomMilliseconds: UInt64 = 60_000

  /// Milliseconds that a room without local members stays subscribed: a page reload costs no resubscription.
  public static let roomLingerMilliseconds: UInt64 = 1000

  /// Rooms without local members that a node follows because a wildcard matches them. Each costs some 500 bytes. Beyond it
  /// those that were looked at longest ago are forgotten until their next message.
  public static let wildcardRoomsMax = 10_000

  /// Milliseconds between two looks at such a room: one that had no message in between is forgotten. As long as history
  /// is kept by default, because what is not kept cannot be recovered.
  public static let wildcardRoomIdleMilliseconds: UInt64 = 5 * 60 * 1000

  /// Revocations that stand at a time, in the whole cluster: every node reads them all when it starts, and holds them at
  /// some 100 bytes each. One more is refused with `rate_limited`. Who must revoke more changes the key.
  public static let revocationsMax = 10_000

  /// Milliseconds for which a revocation stands when its `for` is not given: a day outlives most tokens.
  public static let revocationMillisecondsDefault: UInt64 = 24 * 60 * 60 * 1000
  /// The longest `for`, in milliseconds: a year. No token should live longer, and the number of revocations is bounded.
  public static let revocationMillisecondsMax: UInt64 = 365 * 24 * 60 * 60 * 1000

  /// Messages that a `history` answer holds when the client names no `limit`.
  public static let historyLimitDefault = 100

  /// Messages read from history at a time. A longer absence takes several reads, so that no reply grows without bound.
  public static let historyReadMax = 1000

  /// Bytes of messages that one read of history brings for a recovery or a resumption, the first message aside: what a
  /// session's queue grows by at a time, and some 0.2 ms of Redis.
  public static let historyPageBytesMax = 256 * 1024

  /// Milliseconds after the last poll for which a room that only polls ask for stays subscribed: a client that polls on over
  /// a slow line finds it still here.
  public static let polledRoomMilliseconds: UInt64 = 10_000

  /// Pages of history that are read for one poll before it waits for the next message, whatever the node knows of the room.
  static let pollReadsMax = 4

  /// Bytes of messages in one `history` answer, the first message aside. `"more":true` says that there is more.
  public static let historyAnswerBytesMax = 1024 * 1024

  /// Users in a `presence` answer when no `limit` is given.
  public static let presenceLimitDefault = 1000
  /// The highest `limit` of `presence`; `"more":true` says that there are more.
  public static let presenceLimitMax = 10_000

  /// Joins and leaves of one user that are announced one by one in a room in a `presence-interval`; the first so many of all
  /// users are not counted. The next `presence_update` has the rest: no person reloads a page 25 times a second.
  public static let presenceUserNoticesMax = 50
  /// The same of all users of a room, or twice its `presence-announce-max` where that is more.
  public static let presenceNoticesMax = 1000

  /// Members in one page that a broker reads: what Redis takes some 0.5 ms for. A longer answer takes several.
  public static let memberPageMax = 250

  /// Members in a page at least, however few users are asked for: some have several connections.
  static let memberPageMin = 16

  /// Large reads of a node that are under way at the broker at a time: histories, presences, recoveries. Redis serves
  /// others between them, and what they bring at once stays below 8 MiB. More wait for their turn.
  public static let readsMax = 8

  /// Large reads in one tick that a broker within the process answers at once. One of a room of 10,000 users takes some 10 ms;
  /// the node serves others between two ticks.
  public static let readsAtOnceMax = 2

  /// Bytes of answers in one tick, after which further ones wait for the next: hundreds may share one read, and a MiB that is
  /// compressed for a connection takes some 12 ms.
  public static let readBytesAtOnceMax = 1 << 20

  /// Bytes that a member who is read counts for with its reader, however short the answer: reading, parsing and sorting
  /// one takes some 2.5 µs, as long as 280 bytes of history. Less than that, as all pages of a room are read by the same client.
  static let memberCostBytes = 64

  /// Announced users that a page of members is compared with and that cost as much as a byte: some 10 ns each.
  static let announcedPerCostByte = 4

  /// Milliseconds after which a message counts as a backlog: the node, its link or Redis stood still. Members that cannot
  /// take a backlog as fast as the node has it read it from history instead of being closed.
  public static let backlogMilliseconds: UInt64 = 2000

  /// Bytes of arriving messages that a room holds while it recovers. Beyond it they are dropped: the recovery that is
  /// under way reads them from history.
  public static let heldBytesMax = 4 * 1024 * 1024

  /// Bytes of a room's notices that are held while its users are read: some 40,000 joins. Beyond it all are dropped, and the
  /// users are read again within a second.
  public static let heldNoticesBytesMax = 4 * 1024 * 1024

  /// Milliseconds from one look to the next for users whose grace is over, where several end one after the other.
  static let graceCheckMilliseconds = 20

  /// Milliseconds until a look that failed is repeated.
  static let graceRetryMilliseconds = 1000

  /// Milliseconds from the return of a broker until what was announced to members is compared with what it knows:
  /// longer than nodes take to notice that it has forgotten them, so that nobody is said to have left for that.
  public static let presenceCompareMilliseconds: UInt64 = 3000

  /// The same after a broker has forgotten who is there: twice as long as nodes take to notice, which renew their leases
  /// every two seconds, so that the members of all of them are asserted again, and the list is right within ten seconds.
  public static let presenceAssertMilliseconds: UInt64 = 4500

  /// Bytes of a room's recent messages kept for clients that resume or catch up. Beyond it the oldest are dropped, and read
  /// from history by those who still need them.
  public static let recoveryCacheBytesMax = 8 * 1024 * 1024

  /// The same for all rooms of a node together. Beyond it the rooms that have kept them longest drop theirs.
  public static let recoveryCacheNodeBytesMax = 64 * 1024 * 1024

  /// Milliseconds for which recent messages are kept after a resume asked for them: a reconnect storm after a node's
  /// end is over by then.
  public static let recoveryCacheMilliseconds: UInt64 = 10_000

  /// Bytes that all rooms of a node keep together for lagging members. Beyond it the room that would keep more
  /// drops its own oldest: however many rooms slow readers are in, they cost no more than this.
  public static let lagBytesMax = 64 * 1024 * 1024

  /// Bytes counted for an entry that is kept for lagging members, beside its payload: the array's header and the
  /// entry itself.
  static let lagEntryOverheadBytes = 128

  /// Operations of one connection that may wait for the broker's answer before the connection is read no further. Over a
  /// round trip of 1 ms they are 256,000 a second, more than one connection has ever brought.
  public static let inFlightMax = 256

  /// Bytes of one connection's operations that may wait for the broker's answer: four of the largest messages that the
  /// default settings allow.
  public static let inFlightBytesMax = 256 * 1024

  /// Bytes of all connections' operations that may wait for the broker's answer before any connection that brings one more
  /// is read no further. Half of what the broker's own queue takes before it refuses.
  public static let nodeInFlightBytesMax = 32 * 1024 * 1024

  /// How long a counter, and so the epoch, outlives the last message of a room: a day, so that a client that slept
  /// over night learns from the offset alone whether it missed anything.
  public static let epochMilliseconds: UInt64 = 24 * 60 * 60 * 1000
}
