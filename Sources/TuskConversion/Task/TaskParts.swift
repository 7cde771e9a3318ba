import TuskFormat

/// What is asked of a conversion.
struct TaskRequest {
  /// The directory, with a slash at its end.
  let base: String
  let comparison: BackboneComparison
  let name: String?
  /// Encoding of the dense matrices of adapters.
  let weights: WeightEncoding

  var config: BackboneConfig { comparison.config }
}

/// What each dialect's directory gives.
struct TaskParts {
  let name: String
  let section: [UInt8]
  var notes: [String] = []
  let files: [String]
}

extension TaskParts {
  /// Whatever the packed file must be able to hold as a name.
  static func taskName(_ name: String, file: String) throws(ConversionError) -> String {
    guard (1...255).contains(name.utf8.count),
      !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw ConversionError(
        .badSetting, file: file, subject: name, "a task's name has 1 to 255 bytes and no control characters")
    }
    return name
  }

  static func open(_ base: String, _ names: [String]) throws(ConversionError) -> Checkpoint {
    for name in names where try InputFile.ifPresent(path: base + name) != nil {
      return try Checkpoint.open(file: base + name)
    }
    throw ConversionError(.cannotOpen, file: base, "found none of \(names.joined(separator: ", "))")
  }

  /// A checkpoint that is a whole model with something beside it.
  static func source(
    _ checkpoint: Checkpoint, _ family: ModelFamily, _ settings: Settings, _ request: TaskRequest,
    hasTaskBiases: Bool = false
  ) throws(ConversionError) -> BackboneSource {
    // The authors' name for prompts, which stand beside the model.
    let settings = Settings(settings.values.filter { $0.key != "prefix_tuning" }, file: settings.file)
    let weights = request.config.weightEncoding
    let config =
      try family.isEncoderOnly
      ? EncoderConfiguration.read(
        settings, family, hasPooler: checkpoint.tensorNames.contains { family.canonical($0) == EncoderNames.pooler },
        weights: weights)
      : T5Configuration.read(settings, weights: weights)
    try request.comparison.require(config, file: settings.file)
    return try BackboneSource(
      checkpoint, family, config: config, directory: request.base, hasTaskBiases: hasTaskBiases)
  }

  /// What rounding did, if it was asked for.
  static func roundingNotes(_ assembly: TaskAssembly, _ weights: WeightEncoding) -> [String] {
    guard weights == .int8Rows else { return [] }
    guard assembly.rounding.rowCount > 0 else {
      return ["--weights int8 changed nothing: the task has no dense adapter matrices"]
    }
    let percent = assembly.rounding.relativeError * 100_000
    return ["int8 rounding of the adapters' matrices: relative error \(percent.rounded() / 1000) %"]
  }
}
