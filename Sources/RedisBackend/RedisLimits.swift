/// The numbers of the Redis backend, each with its unit and what happens beyond it.
public enum RedisLimits {
  /// A connection attempt that takes longer goes to the next address, then to the backoff.
  public static let connectMilliseconds = 2_000
  /// A sentinel or a node of a cluster has this long to answer where the masters are; then the next is asked.
  static let discoveryMilliseconds = 1_000
  /// How long the announcement of one sentinel counts more than the answer of another: sentinels exchange news every 2 s.
  static let announcementMilliseconds = 3_000
  /// Time between two questions for the map of a cluster at least.
  static let mapMilliseconds = 250
  /// How long a command waits that a cluster has sent elsewhere, before it is sent again.
  static let redirectPauseMilliseconds = 10
  /// How long a command follows a slot that moves, or a cluster that settles, before it fails: as long as the keys of one
  /// slot are expected to be on their way.
  public static let redirectMilliseconds = 5_000
  /// A link that owes an answer and is silent for this long is dead. With a renewal every 2 s an unreachable Redis is
  /// known after less than 5 s, and one lost connection does not yet cost the lease.
  public static let silenceMilliseconds = 2_000
  /// A node that was paused for longer reconnects to all masters, which may have been replaced meanwhile: no failover takes
  /// less time than this.
  static let pauseMilliseconds = 1_000
  /// How often a link looks whether it is silent.
  static let watchMilliseconds = 500
  /// Commands that would make the unsent output longer fail with `unavailable`. In bytes.
  public static let outputBytesMax = 64 << 20
  /// An output buffer that grew beyond this is given back once it is empty. In bytes.
  static let keptOutputBytes = 1 << 20
  /// How long what Redis refused counts as the reason of what fails: longer than the time between two attempts.
  static let refusalMilliseconds = 5_000
  /// Different reasons for failing that a link logs before it works again; more are left out.
  static let toldReasonsMax = 16
  /// The first step and the last of the time before the next connection attempt.
  static let backoffMilliseconds = 50...2_000
  /// What one read takes from the kernel at most. In bytes.
  static let receiveBytes = 64 << 10
  /// What the reply parser is given at a time: it moves what it holds with every kilobyte consumed. In bytes.
  static let feedBytes = 8 << 10
  /// Channels in one SUBSCRIBE, so that no command keeps Redis long.
  static let channelsPerCommandMax = 512

  /// A node that has not renewed its lease for this long is dead: its members are removed.
  public static let leaseMilliseconds = 6_000
  /// Time between renewals, give or take `renewalJitterPercent`.
  public static let renewalMilliseconds = 2_000
  static let renewalJitterPercent = 10
  /// Time between two attempts to take the node's id that another process has. A claim ends with the lease.
  static let claimRetryMilliseconds = 500
  /// How often it is logged that another process has the id.
  static let conflictReminderMilliseconds = 60_000
  /// The files for TLS are looked at after failed handshakes at most once in this time: every attempt to connect may fail.
  static let tlsRereadMilliseconds = 2_000
  /// After an outage of at least this time leases may have expired because no node could renew them.
  static let outageMilliseconds = 2_000
  /// What the clock of Redis may run ahead between two renewals before it counts as set forward: the leases of living
  /// nodes may have run out. A lease that was renewed on time stands longer than this and the slowest answer together.
  static let clockJumpMilliseconds = 2_000
  /// For how long a node may hand its members over at most: the upper end of the setting `leave-grace`.
  static let handOverMillisecondsMax = 600_000
  /// How long an expired lease then means nothing: every node is back by the longest backoff and a renewal.
  static let returnMilliseconds = 4_000
  /// How long a sweep that began keeps other nodes from sweeping the same node.
  static let claimMilliseconds = 3_000
  /// How long a sweeper goes on under one claim. It then claims again, so that a sweeper which was stopped removes nothing
  /// of a node that has come back and knows of the sweep. With `silenceMilliseconds` for a step to arrive, a step is never later
  /// than `claimMilliseconds` after its claim.
  static let claimTrustMilliseconds = 1_000
  /// How long a returning node can learn that it was swept. After that its status is `forgotten`.
  static let sweptMarkMilliseconds = 3_600_000
  /// Rooms, connections or members in one command of a sweep.
  static let sweepChunk = 100
  /// Members or users of a room that one HSCAN looks at: about 0.2 ms of Redis.
  static let scanChunk = 250
  /// How long a node that scans for orphans keeps others from doing the same, after every page.
  static let orphanScanMilliseconds = 10_000
  /// Keys that SCAN looks at for one answer: some 200 us of Redis.
  static let orphanScanChunk = 1_000
  /// How long a node's mark stays with a master: it is written again every `probeMilliseconds`, and a node that was paused
  /// for longer than this takes the master for flushed.
  static let markMilliseconds = 3_600_000
  /// How long nothing is published at a master that replaced another: all nodes follow a failover within this time of each
  /// other.
  static let publishFreezeMilliseconds = 300
  /// How long a node holds back messages with the tag of no master that it knows: to read the map takes less.
  static let unverifiedMilliseconds = 200
  /// What it holds back at most; what does not fit is read from history. In bytes.
  static let unverifiedBytesMax = 4 << 20
  /// The first step and the last of the time before the next attempt of an orphan scan.
  static let orphanScanBackoffMilliseconds = 2_000...120_000
  /// How long `stop` waits for Redis.
  static let stopMilliseconds = 3_000
  /// Departures and arrivals kept while Redis is away. Beyond it the node asserts its presence again and reconciles it,
  /// as after a failover.
  public static let offlineQueueMax = 10_000
  /// How long a node in a cluster remembers departures, to repeat them to a promoted replica that lacks them: as long as a
  /// replica may have lost touch and still be promoted, with a `cluster-node-timeout` of up to 5 s.
  static let tombstoneMilliseconds = 60_000
  /// Departures remembered so; the oldest are forgotten beyond it. About 3 MB.
  static let tombstonesMax = 10_000

  /// Life of a room's counter after the last use. A day outlives every client that would come back with a position.
  static let metaMilliseconds = 86_400_000
  /// Life of the counter of an empty room without messages: a client that joins, leaves and comes back
  /// within it finds the same epoch, and a name that was used once costs nothing after it.
  static let unusedMetaMilliseconds = 60_000
  /// A node refreshes a room's counter at most once in this time.
  static let metaRefreshMilliseconds = 60_000
  /// A node refreshes a room's log at most once in this time.
  static let logRefreshMilliseconds = 1_000
  /// A node has Redis cut a room's log with every so many of its publishes, and with every refresh of it: the log holds up
  /// to one message less than this more than it should for every node that publishes there.
  static let publishesPerTrim = 16
  /// Publishes of one tick that share a script: Redis serves others after them, and more would not make one cheaper.
  static let batchMessagesMax = 32
  /// Weight of the operations that one run of the presence script does: an entering weighs 1, a leaving with a grace 2, each
  /// room 2 more. That is about 7 us of Redis by weight. Others wait for longer when a hash grows meanwhile: in a room that grew
  /// to 100,000 members, 96 took up to 1.6 ms and 128 up to 2.2 ms. Twice as many save half a microsecond a join.
  static let presenceWeightMax = 96
  static let presenceRoomWeight = 2
  /// Rooms that one command puts into a node's list, or takes out of it.
  static let listedRoomsMax = 128
  /// Time until a leave is tried again that a key of another type has refused: an operator's time, not a machine's.
  static let refusedLeaveRetryMilliseconds = 5_000
  /// Such leaves at a time. Further ones stand until the node ends and is swept.
  static let refusedLeavesMax = 10_000
  /// Users whose grace one script ends.
  static let gracesMax = 100
  /// A process that has not asked for events for this long delivers them no more: another one goes on.
  public static let eventsLeaseMilliseconds = 6_000
  /// How long a queue of events outlives the last moment at which one of its events could be delivered: queues that no node
  /// looks at any more must not stay.
  static let eventsSlackMilliseconds = 60_000
  /// Events of a room that are moved to the queue of the cluster at a time.
  static let movedEventsMax = 500
  /// Rooms whose events are moved at the same time; those of another one wait for its next event.
  static let movingRoomsMax = 10_000
  /// Time until events are moved again that Redis has not taken.
  static let eventsRetryMilliseconds = 250
  /// What the keys of a room in which all are in grace outlive the last grace by.
  static let graceSlackMilliseconds = 60_000
  /// A batch that has grown to this is sent at once. In bytes.
  static let batchBytesMax = 64 << 10
  /// Added to the history's TTL: it covers the refresh that was left out.
  static let logSlackMilliseconds = 2_000
  /// Rooms remembered with their epoch and as refreshed. Beyond it all are forgotten, and refreshed once more than needed.
  static let rememberedRoomsMax = 100_000

  /// How long a publish with an id that was sent and not answered, because the connection died, may wait to be sent
  /// again; counted from its first sending. Later it is answered with `uncertain`, so that every caller is answered in time.
  public static let retryMilliseconds = 5_000
  /// Bytes of publishes that wait to be sent again. Beyond it they are answered with `uncertain` at once.
  public static let retryBytesMax = 16 << 20
  /// What each of them counts as beside its own bytes.
  static let retryOverheadBytes = 512
  /// How long after a publication was found to arrive on the subscribed connection the next one is sent to find out.
  /// With `silenceMilliseconds` for it to arrive, a stalled subscription is found after less than 5 s.
  static let probeMilliseconds = 2_000
  /// Names tried to find a channel in a slot that a master holds: a master with a hundredth of all slots is found almost surely.
  static let probeCandidatesMax = 1_000
  /// Every so many probes Redis is asked how many channels it holds for the subscribed connection.
  static let probesPerAudit = 2
}
