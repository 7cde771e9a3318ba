import TuskFormat
import TuskTraining

/// What a method that trains the backbone itself takes: the backbone in pages of this process, and perhaps a subspace.
struct TrainedBackbone {
  let backbone: TrainableBackbone
  let subspace: IntrinsicSubspace?

  /// Nil for a method that adds a task.
  init?(_ method: MethodSettings, _ file: PackedFile, path: String) throws(TrainingError) {
    guard method.method.trainsBackbone else { return nil }
    backbone = try TrainableBackbone(path: path)
    subspace =
      method.method == .intrinsicSAID ? try IntrinsicSubspace(method, backbone: backbone, original: file) : nil
  }

  /// The section that is trained with the backbone: an encoder's head, or nothing.
  func section(head: HeadTemplate?, name: String, seed: UInt64) throws(TrainingError) -> [UInt8] {
    let config = backbone.config
    if let head { return try MethodTask.headSection(head, config: config, name: name, seed: seed) }
    return TaskBuilder(
      config: config, name: Array(name.utf8), vocabularySize: config.vocabularySize, origin: .training
    ).sectionBytes()
  }
}
