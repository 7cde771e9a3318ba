/// The tables of a beam search, all in the arena. B sources, k beams, R = B k rows, T positions.
struct BeamState {
  private let beams: Int
  private let sources: Int
  private let rows: Int
  private let targetTokens: Int
  /// [2, R, T + 1]: hypotheses before and after a step.
  private let tokens: UnsafeMutablePointer<Int32>
  /// [2, R, T]: key t of a row lies at cache row t R + r of the block.
  private let cache: UnsafeMutablePointer<Int32>
  /// [2, R]: summed log-probabilities; -infinity for a row without a hypothesis.
  private let sumTable: UnsafeMutablePointer<Float>
  private let finishedTokens: UnsafeMutablePointer<Int32>
  private let finishedScores: UnsafeMutablePointer<Float>
  /// [R]; 0 marks a free place.
  private let finishedLengths: UnsafeMutablePointer<Int32>
  private let candidates: UnsafeMutablePointer<Candidate>
  let inputs: UnsafeMutablePointer<Int32>
  private var side = 0
  private var candidateCount = 0
  private(set) var liveSources: Int
  /// Sources whose rows the next side holds unfinished work for are live; a done source keeps -infinity sums.
  private var length: Int { targetTokens + 1 }

  struct Candidate {
    var sum: Float
    var row: Int32
    var token: Int32
  }

  init(_ session: Session) {
    let request = session.plan.request
    let regions = session.plan.regions.generation
    let arena = session.workspace.arena
    beams = request.beams
    sources = request.batch
    rows = request.beams * request.batch
    targetTokens = request.targetTokens
    tokens = arena.pointer(regions.tokens, to: Int32.self)
    cache = arena.pointer(regions.cacheRows, to: Int32.self)
    sumTable = arena.floats(regions.sums)
    finishedTokens = arena.pointer(regions.finishedTokens, to: Int32.self)
    finishedScores = arena.floats(regions.finishedScores)
    finishedLengths = arena.pointer(regions.finishedLengths, to: Int32.self)
    candidates = arena.pointer(regions.candidates, to: Candidate.self)
    inputs = arena.pointer(regions.inputs, to: Int32.self)
    liveSources = request.batch
  }

  /// [R] sums and [R, T] cache rows of the hypotheses that enter the next step.
  var sums: UnsafeMutablePointer<Float> { sumTable + side * rows }
  var cacheRows: UnsafeMutablePointer<Int32> { cache + side * rows * targetTokens }
  private var nextSums: UnsafeMutablePointer<Float> { sumTable + (1 - side) * rows }

  /// One hypothesis per source: the start token.
  mutating func start(_ startId: Int) {
    for row in 0..<rows {
      tokens[row * length] = Int32(startId)
      inputs[row] = Int32(startId)
      sums[row] = row % beams == 0 ? 0 : -.infinity
      cacheRows[row * targetTokens] = Int32(row)
      finishedLengths[row] = 0
    }
  }

  /// Hypotheses of a source that entered step `step` (1 for the first).
  func hypothesisCount(step: Int) -> Int { step == 1 ? 1 : beams }

  func isLive(_ source: Int) -> Bool { sums[source * beams] > -.infinity }

  mutating func clearCandidates() { candidateCount = 0 }

  /// Offers all continuations of `row`; keeps the 2 k best of the source, earlier rows and lower ids first among equals.
  mutating func take(row: Int, logits: UnsafePointer<Float>, count: Int, logSum: Float) {
    let base = sums[row]
    for token in 0..<count {
      let sum = base + (logits[token] - logSum)
      guard candidateCount < 2 * beams || sum > candidates[candidateCount - 1].sum else { continue }
      var place = min(candidateCount, 2 * beams - 1)
      while place > 0 && sum > candidates[place - 1].sum {
        candidates[place] = candidates[place - 1]
        place -= 1
      }
      candidates[place] = Candidate(sum: sum, row: Int32(row), token: Int32(token))
      candidateCount = min(candidateCount + 1, 2 * beams)
    }
  }

  /// Turns the candidates of `source` into finished hypotheses and the hypotheses of the next step.
  /// - Parameter step: positions decoded, this one included; so the tokens a continuation has generated.
  mutating func advance(_ source: Int, step: Int, maxNewTokens: Int, eosId: Int) {
    var next = 0
    var bestSum = -Float.infinity
    for rank in 0..<candidateCount {
      let candidate = candidates[rank]
      if Int(candidate.token) == eosId || step >= maxNewTokens {
        if rank < beams { addFinished(candidate, source, step: step) }
      } else if next < beams {
        if next == 0 { bestSum = candidate.sum }
        setNext(candidate, row: source * beams + next, step: step)
        next += 1
      }
    }
    if candidateCount == 0 {
      // Logits that are not numbers, from a damaged weight, leave nothing to go on with: the answer ends here.
      let row = source * beams
      addFinished(Candidate(sum: sums[row], row: Int32(row), token: Int32(eosId)), source, step: step)
    }
    for beam in next..<beams { clearNext(source * beams + beam, source * beams) }
    let isFull = finishedCount(source) == beams
    if next == 0 || (isFull && bestSum / Float(step) <= finishedScores[source * beams + beams - 1]) {
      for beam in 0..<beams { nextSums[source * beams + beam] = -.infinity }
      liveSources -= 1
    }
  }

  /// Makes the next side the present one. Rows of sources that are done go along without being looked at.
  mutating func exchange(step: Int) {
    for source in 0..<sources where !isLive(source) {
      for beam in 0..<beams { clearNext(source * beams + beam, source * beams + beam) }
    }
    side = 1 - side
    for row in 0..<rows {
      inputs[row] = tokens[(side * rows + row) * length + step]
      if step < targetTokens { cacheRows[row * targetTokens + step] = Int32(step * rows + row) }
    }
  }

  func finishedCount(_ source: Int) -> Int {
    var count = 0
    while count < beams && finishedLengths[source * beams + count] > 0 { count += 1 }
    return count
  }

  func finished(_ rank: Int, _ source: Int) -> (ids: UnsafeBufferPointer<Int32>, score: Float) {
    precondition(rank < finishedCount(source), "no such hypothesis")
    let row = source * beams + rank
    return (
      UnsafeBufferPointer(start: finishedTokens + row * length, count: Int(finishedLengths[row])), finishedScores[row]
    )
  }

  private mutating func setNext(_ candidate: Candidate, row: Int, step: Int) {
    let parent = side * rows + Int(candidate.row)
    let child = (1 - side) * rows + row
    (tokens + child * length).copy(from: tokens + parent * length, count: step)
    tokens[child * length + step] = candidate.token
    (cache + child * targetTokens).copy(from: cache + parent * targetTokens, count: step)
    nextSums[row] = candidate.sum
  }

  /// A row without a hypothesis repeats the history of `parent`, so that its step computes something finite.
  private mutating func clearNext(_ row: Int, _ parent: Int) {
    let from = side * rows + parent
    let to = (1 - side) * rows + row
    (tokens + to * length).copy(from: tokens + from * length, count: length)
    (cache + to * targetTokens).copy(from: cache + from * targetTokens, count: targetTokens)
    nextSums[row] = -.infinity
  }

  /// Files a hypothesis among the best k of its source, later ones behind equals.
  private mutating func addFinished(_ candidate: Candidate, _ source: Int, step: Int) {
    let score = candidate.sum / Float(step)
    let first = source * beams
    let count = finishedCount(source)
    var place = count
    while place > 0 && score > finishedScores[first + place - 1] { place -= 1 }
    guard place < beams else { return }
    var rank = min(count, beams - 1)
    while rank > place {
      let to = first + rank
      (finishedTokens + to * length).copy(from: finishedTokens + (to - 1) * length, count: length)
      finishedScores[to] = finishedScores[to - 1]
      finishedLengths[to] = finishedLengths[to - 1]
      rank -= 1
    }
    let row = first + place
    (finishedTokens + row * length).copy(from: tokens + (side * rows + Int(candidate.row)) * length, count: step)
    finishedTokens[row * length + step] = candidate.token
    finishedScores[row] = score
    finishedLengths[row] = Int32(step + 1)
  }
}
