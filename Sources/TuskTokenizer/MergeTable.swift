/// The merges of a byte-level BPE vocabulary: for each left piece a sorted list of right pieces, each with the rank of the
/// merge and the piece it gives.
struct MergeTable: Sendable {
  struct Merge {
    let rank: UInt32
    let id: UInt32
  }

  /// Byte offset of `mergeStarts` in the section.
  let starts: Int
  let entries: Range<Int>
  let pieceCount: Int

  /// The merge of two pieces, or nil if they stay apart.
  /// - Precondition: both are below `pieceCount`.
  /// - Complexity: O(log of the merges of `left`).
  func merge(_ left: UInt32, _ right: UInt32, in section: RawSpan, steps: inout Int) -> Merge? {
    var low = Int(section.word(at: starts &+ 4 &* Int(left)))
    var high = Int(section.word(at: starts &+ 4 &* Int(left) &+ 4))
    guard high <= entries.count / SubwordLayout.mergeBytes else { return nil }
    while low < high {
      let middle = (low &+ high) / 2
      let entry = entries.lowerBound &+ SubwordLayout.mergeBytes &* middle
      let key = section.word(at: entry)
      steps &+= 1
      if key == right {
        let id = section.word(at: entry &+ 8)
        return Int(id) < pieceCount ? Merge(rank: section.word(at: entry &+ 4), id: id) : nil
      }
      if key < right { low = middle &+ 1 } else { high = middle }
    }
    return nil
  }
}

/// The pieces of one word, joined merge by merge in the order of their ranks.
struct MergeQueue {
  private struct Symbol {
    var id: UInt32
    /// Neighbours that still stand; -1 at the ends.
    var previous: Int32
    var next: Int32
    var isJoined = false
  }

  /// A merge seen at `position`; it may be out of date when its turn comes.
  private struct Candidate {
    let rank: UInt32
    let position: Int32
    let id: UInt32

    static func < (left: Candidate, right: Candidate) -> Bool {
      left.rank != right.rank ? left.rank < right.rank : left.position < right.position
    }
  }

  private var symbols: [Symbol] = []
  /// A binary heap, the smallest first.
  private var heap: [Candidate] = []
  /// Merges looked at: the measure of work that tests bound.
  private(set) var steps = 0

  var isEmpty: Bool { symbols.isEmpty }

  /// Puts a piece behind those of the word.
  mutating func append(_ id: UInt32) {
    let count = Int32(truncatingIfNeeded: symbols.count)
    if count > 0 { symbols[Int(count) - 1].next = count }
    symbols.append(Symbol(id: id, previous: count - 1, next: -1))
  }

  /// Joins what can be joined, appends the ids left to `ids` and empties the word.
  /// - Complexity: O(n log n) for n bytes; 16 bytes for each and 12 for each merge that waits, of which there are at most 3 n.
  mutating func finish(with table: MergeTable, in section: RawSpan, into ids: inout [Int32]) {
    for position in symbols.indices.dropLast() { look(at: Int32(position), with: table, in: section) }
    while let candidate = popSmallest() {
      let position = Int(candidate.position)
      let next = Int(symbols[position].next)
      guard !symbols[position].isJoined, next >= 0,
        let merge = table.merge(symbols[position].id, symbols[next].id, in: section, steps: &steps),
        merge.id == candidate.id
      else { continue }
      symbols[position].id = candidate.id
      symbols[position].next = symbols[next].next
      symbols[next].isJoined = true
      let behind = Int(symbols[next].next)
      if behind >= 0 { symbols[behind].previous = candidate.position }
      if symbols[position].previous >= 0 { look(at: symbols[position].previous, with: table, in: section) }
      if behind >= 0 { look(at: candidate.position, with: table, in: section) }
    }
    for symbol in symbols where !symbol.isJoined { ids.append(Int32(bitPattern: symbol.id)) }
    symbols.removeAll(keepingCapacity: true)
  }

  /// Queues the merge of the piece at `position` with the one behind it, if there is one.
  private mutating func look(at position: Int32, with table: MergeTable, in section: RawSpan) {
    let symbol = symbols[Int(position)]
    guard symbol.next >= 0,
      let merge = table.merge(symbol.id, symbols[Int(symbol.next)].id, in: section, steps: &steps)
    else { return }
    push(Candidate(rank: merge.rank, position: position, id: merge.id))
  }

  private mutating func push(_ candidate: Candidate) {
    var child = heap.count
    heap.append(candidate)
    while child > 0 {
      let parent = (child - 1) / 2
      guard candidate < heap[parent] else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = candidate
  }

  private mutating func popSmallest() -> Candidate? {
    guard let smallest = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return smallest }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      guard heap[child] < last else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
    return smallest
  }
}
