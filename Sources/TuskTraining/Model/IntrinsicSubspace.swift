import CTuskBackward
import TuskFormat

/// A backbone that moves in a subspace: its weights are those of a file plus what few numbers project to, and only the
/// numbers are trained.
/// - Source: Aghajanyan, Gupta, Zettlemoyer 2020
public final class IntrinsicSubspace {
  let backbone: TrainableBackbone
  private let original: PackedFile
  private let projection: IntrinsicProjection
  /// [d] each: the numbers, their gradient, their moments.
  private let storage: UnsafeMutablePointer<Float>
  private var count: Int { projection.dimension }
  /// Elements of a tensor whose rows are padded in the file, without the padding.
  private let dense: UnsafeMutableBufferPointer<Float>

  /// - Parameters:
  ///   - backbone: holds the moved weights.
  ///   - original: the same file, as it stays.
  public init(
    _ settings: MethodSettings, backbone: TrainableBackbone, original: PackedFile
  ) throws(TrainingError) {
    self.backbone = backbone
    self.original = original
    projection = try IntrinsicProjection(settings, config: backbone.config)
    storage = .allocate(capacity: 4 * projection.dimension)
    storage.initialize(repeating: 0, count: 4 * projection.dimension)
    let numbers = projection.initialNumbers
    storage.update(from: numbers, count: numbers.count)
    let specs = (0..<backbone.config.tensorCount).map { backbone.config.tensorSpec(at: $0) }
    let padded = specs.filter { $0.rowStrideBytes != 4 * $0.columns }.map { $0.rows * $0.columns }.max() ?? 0
    dense = .allocate(capacity: padded)
    dense.initialize(repeating: 0)
  }

  deinit {
    storage.deallocate()
    dense.deallocate()
  }

  /// Numbers that are trained.
  public var dimension: Int { count }

  var stateBytes: [UnsafeMutableRawBufferPointer] {
    [UnsafeMutableRawBufferPointer(start: storage, count: 16 * count)]
  }

  /// The gradient of the numbers, from that of the weights.
  func takeGradients() {
    (storage + count).update(repeating: 0, count: count)
    for position in 0..<backbone.config.tensorCount {
      let spec = backbone.config.tensorSpec(at: position)
      let gradient = backbone.gradient(position)
      let stride = backbone.stride(position)
      var elements = UnsafeBufferPointer(start: gradient, count: spec.rows * spec.columns)
      if stride != spec.columns {
        for row in 0..<spec.rows {
          (dense.baseAddress! + row * spec.columns).update(from: gradient + row * stride, count: spec.columns)
        }
        elements = UnsafeBufferPointer(rebasing: dense[..<(spec.rows * spec.columns)])
      }
      projection.addGradient(of: elements, tensor: position, numbers: storage, to: storage + count)
    }
  }

  func sumOfSquares(_ back: TuskBackward) -> Double { back.sum_of_squares(storage + count, count) }

  /// One step of AdamW over the numbers, and the weights that follow from them.
  func update(_ step: TuskAdamW, _ back: TuskBackward) {
    var step = step
    back.adamw(
      &step, storage, storage + count, storage + 2 * count, storage + 3 * count, count)
    moveWeights()
  }

  /// Sets the weights to where the numbers project.
  func moveWeights() {
    for position in 0..<backbone.config.tensorCount {
      let spec = backbone.config.tensorSpec(at: position)
      let values = backbone.values(position)
      let stride = backbone.stride(position)
      values.update(
        from: original.tensor(at: position).data.address.assumingMemoryBound(to: Float.self), count: spec.rows * stride)
      guard stride != spec.columns else {
        projection.add(
          to: UnsafeMutableBufferPointer(start: values, count: spec.rows * spec.columns), tensor: position,
          numbers: storage)
        continue
      }
      let elements = UnsafeMutableBufferPointer(rebasing: dense[..<(spec.rows * spec.columns)])
      for row in 0..<spec.rows {
        (elements.baseAddress! + row * spec.columns).update(from: values + row * stride, count: spec.columns)
      }
      projection.add(to: elements, tensor: position, numbers: storage)
      for row in 0..<spec.rows {
        (values + row * stride).update(from: elements.baseAddress! + row * spec.columns, count: spec.columns)
      }
    }
  }
}
