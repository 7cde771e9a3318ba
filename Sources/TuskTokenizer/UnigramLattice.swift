/// The best segmentation of one word at a time, with the sums carried from word to word so that they equal those of a
/// search over the whole text; or, as the section says, without.
struct UnigramLattice {
  /// The best path that ends at one byte position of the word.
  private struct Node {
    /// A float32, but where sums are of words.
    var score: Double = 0
    var id: Int32 = -1
    /// Where the path's last piece begins; -1 while no path ends here.
    var start: Int32 = -1
  }

  /// Normalized bytes of the word being gathered.
  var word: [UInt8] = []
  private var nodes: [Node] = []
  /// The score of the best path through all words before this one.
  private var carriedScore: Double = 0
  /// Units of the piece trie looked at: the measure of work that tests bound.
  private(set) var steps = 0

  /// Sums outside +-this are rebased. Only ties in texts of many thousand pieces can tell.
  private static let rebaseLimit: Double = 100_000

  /// Begins a new stretch of text.
  mutating func reset() {
    word.removeAll(keepingCapacity: true)
    carriedScore = 0
  }

  /// Appends the ids of the best segmentation of `word` to `ids`, joining neighbouring unknown ids back to
  /// `stretchStart`, and empties `word`.
  /// - Complexity: O(word bytes x longest piece); 16 bytes per byte of the longest word.
  mutating func segment(
    with model: UnigramSection, in section: RawSpan, into ids: inout [Int32], stretchStart: Int
  ) {
    let size = word.count
    guard size > 0 else { return }
    if nodes.count <= size {
      nodes.append(contentsOf: repeatElement(Node(), count: size + 1 - nodes.count))
    }
    steps += Self.search(&nodes, word, model, section, from: carriedScore)
    let firstId = ids.count
    var end = size
    while end > 0 {
      let node = nodes[end]
      if node.id != model.unknownId || ids.count == firstId || ids[ids.count - 1] != model.unknownId {
        ids.append(node.id)
      }
      end = Int(node.start)
    }
    ids[firstId...].reverse()
    if firstId > stretchStart, ids[firstId] == model.unknownId, ids[firstId - 1] == model.unknownId {
      ids.remove(at: firstId)
    }
    if !model.sumsWords { carriedScore = nodes[size].score }
    word.removeAll(keepingCapacity: true)
  }

  /// Fills the nodes: every start position in ascending order, its pieces from short to long, a candidate winning only
  /// with a strictly larger sum. Returns the number of steps taken.
  private static func search(
    _ storage: inout [Node], _ gathered: [UInt8], _ model: UnigramSection, _ section: RawSpan, from score: Double
  ) -> Int {
    let word = gathered.span
    let size = word.count
    var nodes = storage.mutableSpan
    for position in 1...size { nodes[position].start = -1 }
    nodes[0].score = score

    let trie = model.pieceTrie
    let root = trie.root(in: section)
    let scoresOffset = model.scores.lowerBound
    let pieceCount = UInt32(model.pieces.count)
    let longest = model.longestPieceBytes
    let sumsWords = model.sumsWords
    var frontier = 0
    var steps = 0
    var start = 0
    while start < size {
      if !sumsWords && abs(nodes[start].score) > rebaseLimit { rebase(&nodes, from: start, through: frontier) }
      let score = nodes[start].score
      let characterEnd = min(start &+ UTF8Text.promisedLength(word[start]), size)
      let last = min(start &+ longest, size)
      var isOnePiece = false
      var base = root
      var position = start
      while position < last {
        guard let unit = trie.step(&base, word[position], in: section) else { break }
        position &+= 1
        guard unit & DoubleArray.hasValue != 0 else { continue }
        let id = trie.value(at: base, in: section)
        guard id < pieceCount else { continue }
        let bits = section.unsafeLoadUnaligned(fromByteOffset: scoresOffset &+ Int(id) &* 4, as: UInt32.self)
        let sum = add(Float(bitPattern: UInt32(littleEndian: bits)), score, inDouble: sumsWords)
        if nodes[position].start < 0 || sum > nodes[position].score {
          nodes[position] = Node(score: sum, id: Int32(bitPattern: id), start: Int32(truncatingIfNeeded: start))
        }
        if position == characterEnd { isOnePiece = true }
        frontier = max(frontier, position)
      }
      steps &+= position &- start &+ 1
      if !isOnePiece {
        let sum = add(model.unknownScore, score, inDouble: sumsWords)
        if nodes[characterEnd].start < 0 || sum > nodes[characterEnd].score {
          nodes[characterEnd] = Node(
            score: sum, id: model.unknownId, start: Int32(truncatingIfNeeded: start))
        }
        frontier = max(frontier, characterEnd)
      }
      start = characterEnd
    }
    return steps
  }

  @inline(__always)
  private static func add(_ score: Float, _ sum: Double, inDouble: Bool) -> Double {
    inDouble ? Double(score) + sum : Double(score + Float(sum))
  }

  private static func rebase(_ nodes: inout MutableSpan<Node>, from start: Int, through frontier: Int) {
    let offset = nodes[start].score
    nodes[start].score = 0
    guard start < frontier else { return }
    for position in start &+ 1...frontier where nodes[position].start >= 0 {
      nodes[position].score = Double(Float(nodes[position].score) - Float(offset))
    }
  }
}
