/// Who among clients may send direct messages.
public enum DirectPolicy: Sendable {
  case everyone
  case nobody
  /// Those whose token's permissions list `direct`.
  case permitted
}
