import CTuskSystem
import TuskEngine
import TuskFormat

/// A task whose numbers change: its section in writable memory, with a gradient and two moments beside each number.
///
/// The section is an ordinary one. Sessions mount it while it is trained, and its bytes are what a task file holds. All its
/// numbers are trained but those of frozen tensors.
public final class TrainableTask {
  public let section: TaskSection
  private let memory: UnsafeMutableRawPointer
  private let reservedBytes: Int
  private let sectionByteCount: Int
  /// Numbers of all tensors and of the padding between them, which is zero and has no gradient: [count] each.
  package let count: Int
  package let values: UnsafeMutablePointer<Float>
  package let gradients: UnsafeMutablePointer<Float>
  package let firstMoments: UnsafeMutablePointer<Float>
  package let secondMoments: UnsafeMutablePointer<Float>
  package let frozenTensors: [Int]

  /// Bytes of a task of `sectionBytes` while it is trained.
  public static func plannedBytes(sectionBytes: Int) -> Int { 4 * sectionBytes.roundedUp(to: 64) }

  /// Takes a copy of `bytes`, the section of a task for the backbone of `config`.
  /// - Parameter frozenTensors: positions of tensors that stay as they are.
  /// - Throws: `mismatch` if they are no such section, `unsupported` if it has parts that training does not know,
  ///   `unavailable` without memory.
  public init(_ bytes: [UInt8], config: BackboneConfig, frozenTensors: [Int] = []) throws(TrainingError) {
    self.frozenTensors = frozenTensors
    sectionByteCount = bytes.count
    reservedBytes = Self.plannedBytes(sectionBytes: bytes.count)
    guard let memory = tusk_reserve_memory(reservedBytes) else {
      throw TrainingError(.unavailable, "the system has no \(reservedBytes) bytes for the task and its moments")
    }
    self.memory = memory
    memory.copyMemory(from: bytes, byteCount: bytes.count)
    do throws(FormatError) {
      let mapping = try Mapping(borrowing: UnsafeRawBufferPointer(start: memory, count: bytes.count))
      section = try TaskSection(validating: mapping.bytes, for: config)
    } catch {
      tusk_release_memory(memory, reservedBytes)
      throw TrainingError(.mismatch, "byte \(error.offset) of the task: \(error.summary)")
    }
    let start = section.dataOffset
    // A task without tensors ends before the place where they would begin.
    count = max(0, bytes.count - start) / 4
    values = (memory + start).assumingMemoryBound(to: Float.self)
    let beside = (memory + bytes.count.roundedUp(to: 64)).assumingMemoryBound(to: Float.self)
    let stride = count.roundedUp(to: 16)
    gradients = beside
    firstMoments = beside + stride
    secondMoments = beside + 2 * stride
    try requireTrainable()
  }

  deinit { tusk_release_memory(memory, reservedBytes) }

  /// The section as it is now.
  public var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: memory, count: sectionByteCount)) }

  /// Puts back what `bytes` and the moments were.
  /// - Precondition: of a task of the same parts.
  func restore(_ bytes: [UInt8], firstMoments m: [Float], secondMoments v: [Float]) {
    precondition(bytes.count == sectionByteCount && m.count == count && v.count == count, "another task's numbers")
    memory.copyMemory(from: bytes, byteCount: bytes.count)
    firstMoments.update(from: m, count: count)
    secondMoments.update(from: v, count: count)
  }

  /// Gradient of tensor `tensor`, in its shape.
  package func gradient(_ tensor: Int) -> UnsafeMutablePointer<Float> {
    gradients + (section.tensor(at: tensor).data.offset - section.dataOffset) / 4
  }

  func gradient(_ tensor: Int?) -> UnsafeMutablePointer<Float>? { tensor.map { gradient($0) } }

  func clearGradients() { gradients.update(repeating: 0, count: count) }

  /// Forgets the gradients of what is not trained.
  func clearFrozenGradients() {
    for index in frozenTensors.indices {
      let tensor = frozenTensors[index]
      gradient(tensor).update(repeating: 0, count: section.tensor(at: tensor).shape.elementCount)
    }
  }

  private func requireTrainable() throws(TrainingError) {
    func refuse(_ part: String) -> TrainingError {
      TrainingError(.unsupported, "the task has \(part), which is run but not trained")
    }
    for position in 0..<section.attachmentCount {
      switch section.attachment(at: position) {
      case .adapter(let adapter):
        if adapter.gateWeight != nil { throw refuse("a gated adapter") }
        if adapter.normBeforeWeight != nil || adapter.normAfterWeight != nil { throw refuse("a norm in an adapter") }
        if !adapter.addsStream { throw refuse("an adapter in the place of the stream") }
        if adapter.scalingVector != nil { throw refuse("an adapter with a scale for each channel") }
      case .product(let product):
        if product.inputScale != nil || product.outputScale != nil { throw refuse("a scaled product") }
        if product.linear != nil, [.wo, .pooler, .head].contains(product.target) {
          throw refuse("a low-rank change of \(product.target.name)")
        }
      case .prefix: throw refuse("a prefix")
      case .prompt(let prompt):
        if prompt.place != .front { throw refuse("a prompt behind the first token") }
      }
    }
    for position in 0..<section.linearCount where section.linear(at: position).codes != nil {
      throw refuse("a layer of int8 rows")
    }
    if section.head?.hasUnitLength == true { throw refuse("a head that scales to length 1") }
  }
}
