import CSystem

/// The process's heap.
public enum Memory {
  /// Gives free pages back to the system. The allocator keeps them by itself, expecting the next crowd.
  public static func trim() { malloc_trim(0) }
}
