import CTuskBackward
import CTuskSystem
import TuskEngine
import TuskFormat

/// A float32 backbone whose weights change: its file mapped for this process alone, so that a changed page is private and an
/// unchanged one is not, with a gradient and two moments beside each weight.
public final class TrainableBackbone {
  public let file: PackedFile
  public let config: BackboneConfig
  /// Where each tensor begins in gradients and moments, in floats; rows lie as in the file.
  private let offsets: [Int]
  private let memory: UnsafeMutableRawPointer
  private let reservedBytes: Int
  /// Floats of all tensors with the padding of their rows.
  private let floatCount: Int

  /// Private bytes of a backbone of `config` while it is trained.
  public static func plannedBytes(_ config: BackboneConfig) -> Int { 16 * floats(config) }

  private static func floats(_ config: BackboneConfig) -> Int {
    (0..<config.tensorCount).reduce(0) { $0 + config.tensorSpec(at: $1).dataByteCount / 4 }
  }

  /// - Throws: `cannotOpen`, `mismatch` if it is no backbone, `unsupported` if it is int8, `unavailable` without memory.
  public init(path: String) throws(TrainingError) {
    do throws(FormatError) { file = try PackedFile(Mapping(privatePath: path)) } catch {
      throw TrainingError(
        error.kind == .cannotOpen ? .cannotOpen : .mismatch, file: path, "byte \(error.offset): \(error.summary)")
    }
    guard let config = file.config else { throw TrainingError(.mismatch, file: path, "the file has no backbone") }
    guard config.weightEncoding == .float32 else {
      throw TrainingError(.unsupported, file: path, "the weights are int8, which are not trained; required float32")
    }
    self.config = config
    var offsets: [Int] = []
    var end = 0
    for position in 0..<config.tensorCount {
      offsets.append(end)
      end += config.tensorSpec(at: position).dataByteCount / 4
    }
    self.offsets = offsets
    floatCount = end
    reservedBytes = 3 * 4 * end
    guard let memory = tusk_reserve_memory(reservedBytes) else {
      throw TrainingError(.unavailable, "the system has no \(reservedBytes) bytes for gradients and moments")
    }
    self.memory = memory
  }

  deinit { tusk_release_memory(memory, reservedBytes) }

  /// Weights of tensor `position`: [rows, stride] floats.
  func values(_ position: Int) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer(mutating: file.tensor(at: position).data.address).assumingMemoryBound(to: Float.self)
  }

  /// Their gradient, in the same rows.
  func gradient(_ position: Int) -> UnsafeMutablePointer<Float> { floats(0) + offsets[position] }

  /// The gradient of the only tensor of a role; nil where the backbone has none.
  func gradient(_ role: TensorRole, _ stack: Stack, layer: Int = 0) -> UnsafeMutablePointer<Float>? {
    config.has(role, stack) ? gradient(config.tensorPosition(role, stack, layer: layer)) : nil
  }

  /// Floats from one row of a tensor to the next.
  func stride(_ position: Int) -> Int { config.tensorSpec(at: position).rowStrideBytes / 4 }

  private func floats(_ part: Int) -> UnsafeMutablePointer<Float> {
    memory.assumingMemoryBound(to: Float.self) + part * floatCount
  }

  /// What decides how training goes on, for a state file: the rows of every tensor, and the moments.
  var stateBytes: [UnsafeMutableRawBufferPointer] {
    let tensors = (0..<config.tensorCount).map { position in
      UnsafeMutableRawBufferPointer(start: values(position), count: config.tensorSpec(at: position).dataByteCount)
    }
    return tensors + [UnsafeMutableRawBufferPointer(start: floats(1), count: 8 * floatCount)]
  }

  func clearGradients() { floats(0).update(repeating: 0, count: floatCount) }

  func sumOfSquares(_ back: TuskBackward) -> Double { back.sum_of_squares(floats(0), floatCount) }

  /// One step of AdamW over all weights.
  func update(_ step: TuskAdamW, _ back: TuskBackward) {
    var step = step
    for position in 0..<config.tensorCount {
      let offset = offsets[position]
      back.adamw(
        &step, values(position), floats(0) + offset, floats(1) + offset, floats(2) + offset,
        config.tensorSpec(at: position).dataByteCount / 4)
    }
  }

  /// Writes the backbone as it is now, with another fingerprint: tasks of the one it was do not fit it.
  /// - Parameter head: of an encoder: a section that is nothing but a head.
  public func write(to path: String, head: [UInt8]?, provenance: [UInt8]?) throws(WriteError) {
    func bytes(_ section: MappedBytes?) -> [UInt8]? { section.map { $0.copied(0..<$0.count) } }
    let writer = try BackboneWriter(
      path: path, config: config, tokenizer: bytes(file.section(.tokenizer)), provenance: provenance,
      head: head ?? bytes(file.section(.head)))
    for position in 0..<config.tensorCount {
      let tensor = file.tensor(at: position)
      var checksum: UInt32 = 0
      for row in 0..<tensor.spec.rows {
        let start = row * tensor.spec.rowStrideBytes
        let values = tensor.data.slice(start..<start + 4 * tensor.spec.columns)
        checksum = values.checksum(after: checksum)
        let stored = tensor.data.slice(start..<start + tensor.spec.rowStrideBytes)
        try writer.append(UnsafeRawBufferPointer(start: stored.address, count: stored.count))
      }
      try writer.finishTensor(sourceChecksum: checksum)
    }
    try writer.finish()
  }
}
