import TuskTraining

/// A finished run: a line of `runs.jsonl`, described in `formats/json.md`.
struct StudyRecord: Codable, Equatable {
  let task: String
  let method: String
  let examples: Int
  let seed: Int
  let learningRate: Double
  let epochs: Int
  let batch: Int
  let training: Training
  /// The value of each metric by its name, and their mean.
  let metrics: [String: Double]
  let average: Double
  let judgedExamples: Int
  let invalidAnswers: Int

  /// What training cost.
  struct Training: Codable, Equatable {
    /// Without and in the head.
    let trainedParameters: Int
    let headParameters: Int
    let percentOfBackbone: Double
    let finalLoss: Double
    /// The most at the end of any step.
    let privateBytes: Int
    let plannedPrivateBytes: Int
    /// Of the task file.
    let taskBytes: Int
    /// Steps alone.
    let msPerEpoch: Double
    /// All of the process, its start included; nil if it was stopped and went on.
    let processorMsPerEpoch: Double?
    /// From start to end, likewise; of a run that went on, behind the stop.
    let seconds: Double
  }

  func belongs(to key: StudyKey) -> Bool {
    task == key.task && method == key.method.rawValue && examples == key.examples && seed == key.seed
  }
}

/// The parts of what `tusk train --json` prints that a study keeps.
struct PrintedTraining: Decodable {
  let trainedParameters: Int
  let headParameters: Int
  let percentOfBackbone: Double
  let epochs: Int
  let finalLoss: Double
  let seconds: Double
  let plannedPrivateBytes: Int
  let privateBytes: Int
}

/// The parts of what `tusk eval --json` prints that a study keeps.
struct PrintedEvaluation: Decodable {
  let metrics: [String: Double]
  let average: Double
  let examples: Int
  let invalidAnswers: Int
}

/// The parts of a line of a training's log that a study needs; lines that are no steps have none.
struct LoggedStep: Decodable {
  let event: String
  let step: Int
  let ms: Double?
  let privateBytes: Int?
}
