/// Names an element of a `Slab`: its place and which of the place's successive occupants it is.
@frozen
public struct SlabID: Hashable, Sendable {
  public let index: UInt32
  public let generation: UInt32

  @inlinable
  public init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }

  /// Both numbers in one word, unique for the life of the slab.
  @inlinable public var word: UInt64 { UInt64(generation) << 32 | UInt64(index) }

  @inlinable
  public init(word: UInt64) {
    self.init(index: UInt32(truncatingIfNeeded: word), generation: UInt32(truncatingIfNeeded: word >> 32))
  }
}

/// Stores non-copyable elements side by side: no heap object, no reference count and no dynamic exclusivity check each.
///
/// Places are reused; a `SlabID` that outlived its element is recognised by its generation. Growing moves the elements,
/// so no borrow may be held across `insert`. Confined to the thread that created it.
@frozen
public struct Slab<Element: ~Copyable>: ~Copyable {
  @usableFromInline var elements: UnsafeMutablePointer<Element>
  /// Odd while the place is occupied.
  @usableFromInline var generations: UnsafeMutablePointer<UInt32>
  @usableFromInline var freeIndices: [UInt32] = []
  /// Places in use or used before: all indices are below it.
  public private(set) var end: UInt32 = 0
  /// Elements in the slab.
  public private(set) var count = 0
  private var capacity: UInt32
  /// Even: the generation of places that were never used.
  private var firstGeneration: UInt32

  /// - Parameter firstGeneration: where generations begin, rounded down to an even number. A random one makes the names
  ///   of one process's elements differ from those of the process before.
  public init(capacity: UInt32 = 64, firstGeneration: UInt32 = 0) {
    self.capacity = max(capacity, 1)
    self.firstGeneration = firstGeneration & ~1
    elements = .allocate(capacity: Int(self.capacity))
    generations = .allocate(capacity: Int(self.capacity))
    generations.initialize(repeating: self.firstGeneration, count: Int(self.capacity))
  }

  deinit {
    for i in 0..<Int(end) where generations[i] & 1 == 1 { (elements + i).deinitialize(count: 1) }
    elements.deallocate()
    generations.deallocate()
  }

  /// The element at an occupied place.
  @inlinable
  public subscript(index: UInt32) -> Element {
    unsafeAddress {
      precondition(index < end && generations[Int(index)] & 1 == 1, "a slab's place is read while empty")
      return UnsafePointer(elements + Int(index))
    }
    nonmutating unsafeMutableAddress {
      precondition(index < end && generations[Int(index)] & 1 == 1, "a slab's place is changed while empty")
      return elements + Int(index)
    }
  }

  /// Whether the element that `id` names is still there.
  @inlinable
  public func contains(_ id: SlabID) -> Bool { id.index < end && generations[Int(id.index)] == id.generation }

  /// Whether any element is at `index`.
  @inlinable
  public func isOccupied(_ index: UInt32) -> Bool { index < end && generations[Int(index)] & 1 == 1 }

  /// The id of the element at an occupied place.
  @inlinable
  public func id(at index: UInt32) -> SlabID { SlabID(index: index, generation: generations[Int(index)]) }

  /// Adds an element and returns its name.
  public mutating func insert(_ element: consuming Element) -> SlabID {
    let index: UInt32
    if let free = freeIndices.popLast() {
      index = free
    } else {
      if end == capacity { grow() }
      index = end
      end += 1
    }
    (elements + Int(index)).initialize(to: element)
    generations[Int(index)] &+= 1
    count += 1
    return id(at: index)
  }

  /// Takes the element at an occupied place out.
  @discardableResult
  public mutating func remove(_ index: UInt32) -> Element {
    precondition(isOccupied(index), "a slab's place is emptied twice")
    generations[Int(index)] &+= 1
    freeIndices.append(index)
    count -= 1
    return (elements + Int(index)).move()
  }

  /// Gives memory back when far fewer places are in use than there are. Elements stay where they are, so only the empty
  /// places behind the last one can go. Costs a look at every place: not for every tick.
  public mutating func shrink() {
    let last = end
    while end > 0, generations[Int(end) - 1] & 1 == 0 { end -= 1 }
    if end < last { freeIndices = freeIndices.filter { $0 < end } }
    let needed = max(end, 64)
    guard capacity / 4 > needed else { return }
    // A place that is used again must not repeat a generation that somebody may still hold: all begin above the highest.
    firstGeneration = (0..<Int(capacity)).reduce(firstGeneration) { Swift.max($0, (generations[$1] &+ 1) & ~1) }
    move(toCapacity: needed)
  }

  private mutating func grow() { move(toCapacity: capacity * 2) }

  private mutating func move(toCapacity larger: UInt32) {
    let moved = UnsafeMutablePointer<Element>.allocate(capacity: Int(larger))
    for i in 0..<Int(end) where generations[i] & 1 == 1 { (moved + i).moveInitialize(from: elements + i, count: 1) }
    let numbers = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(larger))
    let kept = Int(Swift.min(capacity, larger))
    numbers.initialize(from: generations, count: kept)
    (numbers + kept).initialize(repeating: firstGeneration, count: Int(larger) - kept)
    elements.deallocate()
    generations.deallocate()
    elements = moved
    generations = numbers
    capacity = larger
  }
}
