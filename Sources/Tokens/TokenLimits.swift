/// The fixed limits of tokens and keys. Settings that operators may change arrive in `KeyRing.Configuration`.
public enum TokenLimits {
  /// Bytes of a token. It must fit into a request's head with everything else; a longer one is refused unread.
  public static let tokenBytesMax = 8 * 1024

  /// Containers inside each other in a token's header and claims. What Roost reads needs two.
  public static let depthMax = 16

  /// Bytes of `info`, which stands in every list of members; a longer one makes the token invalid.
  public static let infoBytesMax = 2 * 1024

  /// Globs in `rooms`: each is tried whenever a room is named; more make the token invalid.
  public static let globsMax = 256

  /// Bytes of a token's id (`jti`) and of a key's (`kid`): they are kept and compared. A longer one makes the token
  /// invalid; a key with a longer one is skipped.
  public static let idBytesMax = 200

  /// Keys of one set; further ones make the set invalid. Issuers publish two or three.
  public static let keysMax = 64

  /// Keys that a token without `kid` is tried on. Each costs up to 150 µs of the loop; a token that fits none of the
  /// first is refused.
  public static let keysTriedMax = 8

  /// Bytes of a file of keys or of a set that is fetched; a longer one is refused.
  public static let keysBytesMax = 256 * 1024

  /// Milliseconds in which a set must be fetched, connecting included, and for connecting alone.
  public static let fetchMilliseconds = 5000
  public static let connectMilliseconds = 3000

  /// Milliseconds between two fetches that unknown keys in tokens ask for: doubled from the least to the most while they
  /// bring no new key. The most is one fetch in ten seconds, which no issuer notices; the least keeps the first token of
  /// a new key well within `auth-timeout`.
  public static let fetchSpacingMillisecondsMin: UInt64 = 1000
  public static let fetchSpacingMillisecondsMax: UInt64 = 10_000
  /// Milliseconds without a fetch after which the spacing is at its least again.
  public static let fetchQuietMilliseconds: UInt64 = 60_000

  /// Milliseconds after a failed fetch until the next; doubled with every further failure, up to `jwks-refresh`.
  public static let retryMilliseconds = 2000

  /// Milliseconds between refreshes that an issuer may ask for by `Cache-Control: max-age`, at the least.
  public static let refreshMillisecondsMin = 30_000

  /// Milliseconds after a failed reading of key files until the next; doubled with every further failure up to the most.
  /// Meanwhile the old keys are good.
  public static let rereadMillisecondsMin = 1000
  public static let rereadMillisecondsMax = 60_000

  /// Bytes of tokens that wait for keys: 16,000 of the usual size, and twice what one address can bring by default (1000
  /// connections with the longest token). Further ones are answered that tokens cannot be judged now.
  public static let waitingBytesMax = 16 * 1024 * 1024
}
