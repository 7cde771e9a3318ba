import TuskFormat

/// What is asked of an export.
struct ExportRequest {
  let contents: TaskContents
  /// What the files call the task.
  let name: String
  /// Whose names the tensors get.
  let family: ModelFamily
  let container: TaskExport.Container
  let backbone: PackedFile
  /// The backbone's checkpoint, if it was given.
  let checkpoint: ExportCheckpoint?

  var config: BackboneConfig { contents.config }

  /// The family's model as people and libraries refer to it; null when nobody said.
  var modelName: JSONValue { checkpoint.map { .string($0.directory) } ?? .null }
}

/// The Hugging Face directory that a backbone was packed from.
struct ExportCheckpoint {
  /// Without a slash at its end.
  let directory: String
  let settings: Settings
}

/// The files of an export, before anything is written.
struct ExportFiles {
  var settings: [(name: String, value: JSONValue)] = []
  var tensors: [(name: String, state: StateDict)] = []
  /// What a user should know.
  var notes: [String] = []

  var byteCount: Int { tensors.reduce(0) { $0 + $1.state.byteCount } }
}

extension ModelFamily {
  /// What begins the names of a backbone's parts in the classes with a head.
  var modelPrefix: String {
    switch self {
    case .t5: "transformer."
    case .bert: "bert."
    case .roberta, .xlmRoberta, .camembert: "roberta."
    case .distilBert: "distilbert."
    case .electra: "electra."
    }
  }

  /// What begins the names of the family's classes.
  var classPrefix: String {
    switch self {
    case .t5: "T5"
    case .bert: "Bert"
    case .roberta: "Roberta"
    case .xlmRoberta: "XLMRoberta"
    case .camembert: "Camembert"
    case .distilBert: "DistilBert"
    case .electra: "Electra"
    }
  }
}

extension Activation {
  /// What the libraries call it. "leakyrelu" is a name of the `adapters` library's own; the others are transformers'.
  var transformersName: String {
    switch self {
    case .identity: "linear"
    case .silu: "swish"
    case .leakyRelu: "leakyrelu"
    default: "\(name)"
    }
  }
}
