import CTusk
import CTuskHandles
import TuskEngine
import TuskFormat
import TuskTokenizer

/// A session with the tasks it can switch between, its tokenizer and its results.
final class TaskSession: Handle {
  let state: UnsafeMutablePointer<tusk_handle>
  let heap: OpaquePointer?
  let model: Model
  let session: Session
  let footprint: tusk_footprint
  let files: [PackedFile]
  private let truncates: Bool
  private let storedTokenizer: Tokenizer?
  /// Whether the encoder's output is still there: decoding takes its place.
  var hasHidden = false
  /// What the last call gave out.
  var ids: ResultBuffer<Int32>
  var types: ResultBuffer<Int32>
  var text: ResultBuffer<UInt8>
  /// Rows of the encoded source, a prompt among them; 0 while there is none to decode from or to make a head's numbers of.
  private(set) var sourceTokens = 0
  /// Tokens fed since `start_decoding`; nil before it.
  var fedTokens: Int?

  /// A session in the memory that the plan's options name.
  static func make(_ model: Model, _ plan: SessionPlan) throws(Failure) -> TaskSession {
    let (arena, objects) = try plan.parts()
    let heap = try makeHeap(in: objects)
    let previous = enterHeap(heap)
    defer { leaveHeap(previous) }
    let session = try TaskSession(model, plan, arena: arena, heap: heap)
    try requireNoOverflow(heap)
    return session
  }

  private init(
    _ model: Model, _ plan: SessionPlan, arena: UnsafeMutableRawBufferPointer?, heap: OpaquePointer?
  ) throws(Failure) {
    do throws(TokenizerError) {
      if let section = plan.file.section(.tokenizer) {
        storedTokenizer = try Tokenizer(section)
      } else {
        storedTokenizer = nil
      }
    } catch { throw Failure(error) }
    do throws(EngineError) {
      session = try Session(plan.file, plan: plan.plan, memory: arena, isaCap: plan.isa)
    } catch { throw Failure(error) }
    self.model = model
    self.heap = heap
    files = model.files
    footprint = plan.footprint
    truncates = plan.truncates
    let request = plan.plan.request
    ids = ResultBuffer(capacity: max(request.sourceTokens, request.targetTokens))
    types = ResultBuffer(capacity: request.sourceTokens)
    text = ResultBuffer(capacity: 0)
    state = makeState()
  }

  deinit {
    ids.free()
    types.free()
    text.free()
    state.deallocate()
  }

  func tokenizer() throws(Failure) -> Tokenizer {
    guard let storedTokenizer else { throw Failure(EngineError(.noTokenizer)) }
    return storedTokenizer
  }

  func setTask(_ number: Int32) throws(Failure) {
    let task = try files.task(number)
    do throws(FormatError) { try session.setTask(task) } catch { throw Failure(error) }
    forgetSource()
  }

  func setTasks(_ numbers: UnsafeBufferPointer<Int32>) throws(Failure) {
    guard numbers.count <= Session.taskLimit else {
      throw Failure(
        TUSK_ERROR_INVALID_ARGUMENT, "there are more tasks than can be stacked", found: numbers.count,
        required: Session.taskLimit)
    }
    var tasks: [TaskSection] = []
    for number in numbers {
      guard let task = try files.task(number) else {
        throw Failure(TUSK_ERROR_INVALID_ARGUMENT, "the backbone alone is no task of a stack")
      }
      tasks.append(task)
    }
    do throws(FormatError) { try session.setTasks(tasks) } catch { throw Failure(error) }
    forgetSource()
  }

  private func forgetSource() {
    sourceTokens = 0
    hasHidden = false
    fedTokens = nil
  }

  /// Leaves the ids of one or two texts in `ids` and `types`.
  func tokenize(_ first: CallerText, _ second: CallerText) throws(Failure) {
    let tokenizer = try tokenizer()
    let maximum = truncates ? session.sourceLimit() : nil
    do throws(TokenizerError) {
      let source = try tokenizer.encodePair(
        first.bytes, second.isGiven ? second.bytes : nil, maximumTokens: maximum)
      ids.set(source.ids)
      types.set(source.typeIds)
    } catch { throw Failure(error) }
  }

  func encode(_ ids: UnsafeBufferPointer<Int32>, types: UnsafeBufferPointer<Int32>?) throws(Failure) {
    forgetSource()
    do throws(EngineError) { try session.encode(ids, types: types) } catch { throw Failure(error) }
    sourceTokens = session.encodedRowCount()
    hasHidden = true
  }

  func encode(_ first: CallerText, _ second: CallerText) throws(Failure) {
    try tokenize(first, second)
    try encode(ids.all, types: types.all)
  }

  func requireSource() throws(Failure) {
    guard sourceTokens > 0 else {
      throw Failure(TUSK_ERROR_WRONG_ORDER, "no source has been encoded since the last switch")
    }
  }

  /// The head that answers now.
  func head() throws(Failure) -> TaskHead {
    guard !session.config.hasDecoder, let head = session.headSection()?.head else {
      throw Failure(EngineError(.noHead))
    }
    return head
  }

  /// The numbers of the head, or with `forPeople` probabilities of labels.
  func headValues(forPeople: Bool) throws(Failure) -> tusk_matrix {
    _ = try head()
    try requireSource()
    do throws(EngineError) {
      let values = forPeople ? try session.headScores() : try session.headOutput()
      return tusk_matrix(values: values.baseAddress, rows: 1, columns: values.count)
    } catch { throw Failure(error) }
  }
}

/// Memory for results whose address stays the same until there are more of them than ever before.
struct ResultBuffer<Element: BitwiseCopyable> {
  private var base: UnsafeMutablePointer<Element>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = max(capacity, 1)
    base = .allocate(capacity: self.capacity)
  }

  func free() { base.deallocate() }

  var all: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }

  mutating func clear() { count = 0 }

  mutating func append(_ element: Element) {
    reserve(count + 1)
    base[count] = element
    count += 1
  }

  mutating func set(_ elements: [Element]) {
    clear()
    reserve(elements.count)
    for index in elements.indices { base[index] = elements[index] }
    count = elements.count
  }

  private mutating func reserve(_ needed: Int) {
    guard needed > capacity else { return }
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: max(needed, 2 * capacity))
    larger.update(from: base, count: count)
    base.deallocate()
    base = larger
    capacity = max(needed, 2 * capacity)
  }
}

/// A text of the caller's, whose length was checked before it is read.
struct CallerText {
  private let buffer: UnsafeRawBufferPointer
  let isGiven: Bool

  /// - Parameter isOptional: no address and no length stand for no text.
  init(_ start: UnsafePointer<CChar>?, _ count: Int, isOptional: Bool = false) throws(Failure) {
    guard start != nil || count == 0, isOptional || start != nil else { throw .null("the text is NULL") }
    guard count >= 0, count <= Tokenizer.textBytesLimit else {
      throw Failure(
        TUSK_ERROR_TEXT_TOO_LONG, "the text is longer than a tokenizer encodes (bytes)",
        found: UInt64(UInt(bitPattern: count)),
        required: UInt64(Tokenizer.textBytesLimit))
    }
    buffer = UnsafeRawBufferPointer(start: start, count: count)
    isGiven = start != nil
  }

  var bytes: [UInt8] { Array(buffer) }
}
