import ClientProtocol
import JSONCore

/// What travels through a broker: one line of facts, then the body.
///
///     KIND SP TS SP ORIGIN SP USER LF BODY
///
/// KIND is one letter, TS milliseconds since 1970, ORIGIN the sending connection's name or `-`, USER a JSON string or
/// `null`. A message of a trace has `;` and its `traceparent` after the ORIGIN: no name has a `;`, and a node of an older
/// version, which knows no traces, takes both for the name of a connection that it does not have. A JSON string holds no raw line feed, so the first LF ends the line. The BODY is the sender's own bytes: the
/// members of a JSON object without its braces, or a binary payload. Readable with `redis-cli`, parsed without a copy.
public struct Envelope: Equatable {
  public enum Kind: UInt8, Sendable {
    /// A message of a room; the body is JSON members.
    case message = 0x6D  // m
    /// A binary message of a room; the body is the payload.
    case binary = 0x62  // b
    /// A user's first connection entered the room; the body is the user's info as JSON, or empty. Published by the script
    /// that saw it.
    case userJoined = 0x6A  // j
    /// A user's last connection left the room. Published by the script that saw it.
    case userLeft = 0x6C  // l
    /// A user's last connection left the room, and the user has a grace to come back; the body is the grace in
    /// milliseconds. Clients do not receive it.
    case userLeaving = 0x67  // g
    /// A user sets its state in the room; the body is JSON, `null` when it is removed.
    case userState = 0x73  // s
    /// A message of a room that has no offset and is kept nowhere; the body is JSON members.
    case ephemeral = 0x65  // e
    /// A message to one user; the body is JSON members.
    case direct = 0x64  // d
    /// A message to everyone; the body is JSON members.
    case broadcast = 0x61  // a
    /// An order to every node to close a user's connections or one connection; the body is a JSON object.
    case disconnect = 0x78  // x
    /// A revocation that every node is to obey at once; the body is a JSON object.
    case revoke = 0x72  // r
    /// An order to the nodes that have what it names; the body is a JSON object, see `AdminOrder`.
    case order = 0x6F  // o
  }

  public let kind: Kind
  /// The digits of the time stamp, copied into what members receive.
  public let timestamp: Range<Int>
  /// The sending connection's name, or `-`.
  public let origin: Range<Int>
  /// The `traceparent` that follows from the publish; empty: it is part of no trace.
  public let trace: Range<Int>
  /// The user as JSON: a string with its quotes, or `null`.
  public let user: Range<Int>
  public let body: Range<Int>

  /// Reads the line of facts. Returns nil for what no node of this version wrote.
  public init?(_ bytes: Span<UInt8>) {
    guard bytes.count > 2, bytes[1] == 0x20, let kind = Kind(rawValue: bytes[0]) else { return nil }
    var at = 2
    guard let timestamp = Envelope.field(bytes, &at, until: 0x20), let origin = Envelope.field(bytes, &at, until: 0x20),
      let user = Envelope.field(bytes, &at, until: 0x0A)
    else { return nil }
    self.kind = kind
    self.timestamp = timestamp
    if origin.count > Envelope.traceBytes, bytes[origin.upperBound - Envelope.traceBytes] == Envelope.traceMark {
      self.origin = origin.lowerBound..<(origin.upperBound - Envelope.traceBytes)
      trace = (origin.upperBound - TraceContext.byteCount)..<origin.upperBound
    } else {
      self.origin = origin
      trace = origin.upperBound..<origin.upperBound
    }
    self.user = user
    body = at..<bytes.count
  }

  private static func field(_ bytes: Span<UInt8>, _ at: inout Int, until end: UInt8) -> Range<Int>? {
    let start = at
    while at < bytes.count {
      if bytes[at] == end {
        at += 1
        return start..<(at - 1)
      }
      at += 1
    }
    return nil
  }

  /// What stands before a `traceparent`, and the bytes of both.
  private static let traceMark = UInt8(ascii: ";")
  private static let traceBytes = TraceContext.byteCount + 1

  /// Notes in an encoded envelope that has no trace which one it is part of.
  static func insert(_ trace: TraceContext, into bytes: inout [UInt8]) {
    guard let place = Envelope(bytes.span)?.origin.upperBound else { return }
    bytes.insert(contentsOf: [traceMark] + trace.text, at: place)
  }

  /// The trace that it is part of; nil: none.
  public func traceContext(in bytes: Span<UInt8>) -> TraceContext? {
    trace.isEmpty ? nil : TraceContext(bytes.extracting(trace))
  }

  /// Writes an envelope's line of facts into `output`; the caller appends the body.
  ///
  /// - Parameters:
  ///   - origin: the sending connection's name, or empty for none.
  ///   - userJSON: the user as JSON, quotes included, or `null`.
  public static func begin(
    _ kind: Kind, timestamp: UInt64, origin: [UInt8], userJSON: [UInt8], into output: inout [UInt8]
  ) {
    begin(
      kind, timestamp: timestamp, into: &output,
      origin: { if origin.isEmpty { $0.append(Envelope.noOrigin) } else { $0.append(contentsOf: origin) } },
      user: { $0.append(contentsOf: userJSON) })
  }

  /// What stands in the place of the sending connection's name when there is none.
  static let noOrigin = UInt8(ascii: "-")
  /// The same of a client that has no connection: what it sends outside of rooms counts as a client's.
  static let requestOrigin = UInt8(ascii: "?")

  /// The same, for what is said too often to make an array of the origin and another of the user: each is appended by a
  /// closure.
  @inline(__always)
  static func begin(
    _ kind: Kind, timestamp: UInt64, into output: inout [UInt8], origin: (inout [UInt8]) -> Void,
    user: (inout [UInt8]) -> Void
  ) {
    output.append(kind.rawValue)
    output.append(0x20)
    JSONNumber.append(timestamp, to: &output)
    output.append(0x20)
    origin(&output)
    output.append(0x20)
    user(&output)
    output.append(0x0A)
  }
}
