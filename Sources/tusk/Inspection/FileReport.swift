import Foundation
import TuskEngine
import TuskFormat

/// What `inspect` tells of a file: the JSON object of `formats/json.md`, from which the text is written too.
struct FileReport: Encodable {
  let kind: String
  let bytes: Int
  let backbone: Backbone?
  let tasks: [Task]
  let sections: [Section]
  let provenance: String?

  struct Backbone: Encodable {
    let fingerprint: String
    let architecture: String
    let dModel, dFf, dKv, headCount, layerCount, decoderLayerCount, vocabularySize: Int
    let positions: String
    let relativeBiasBuckets, relativeBiasMaxDistance: Int
    let maxPositions, positionOffset, tokenTypes: Int
    let norm, normPlacement: String
    let normEpsilon: Float
    let activation: String
    let gated, biases, embeddingNorm, pooler, tiedHead: Bool
    let logitScale, attentionScale: Float
    let padId, eosId, decoderStartId: Int
    let weights: String
    let parameters: Int
    let tokenizer: Bool
    /// The head that answers without a task; nil if there is none.
    let head: HeadReport?
  }

  struct Task: Encodable {
    let name: String
    let origin: String
    let fingerprint: String
    let bytes: Int
    let vocabularySize: Int
    let adapters: Int
    let attachments: [AttachmentReport]
    let bottleneckWidths: [Int]
    let phmDims: [Int]
    let factorRanks: [Int]
    let activations: [String]
    let parameters: Int
    let parametersByKind: TaskParameters
    /// Parameters in percent of the backbone's.
    let percentOfBackbone: Double
    /// Nil if the task has none.
    let head: HeadReport?
  }

  struct Section: Encodable {
    let kind: String
    let ordinal: Int
    let offset: Int
    let bytes: Int
    let crc32: String
    let required: Bool
  }
}

extension FileReport {
  init(_ file: PackedFile) {
    kind =
      switch file.kind {
      case .backbone: "backbone"
      case .task: "task"
      case .bundle: "bundle"
      }
    bytes = file.mapping.count
    backbone = file.config.map { Backbone($0, hasTokenizer: file.section(.tokenizer) != nil, file.head) }
    tasks = (0..<file.taskCount).map { Task(file.task(at: $0)) }
    sections = (0..<file.sectionCount).map { Section(file.section(at: $0)) }
    provenance = file.section(.provenance)?.text
  }
}

extension FileReport.Backbone {
  init(_ config: BackboneConfig, hasTokenizer: Bool, _ head: TaskSection?) {
    fingerprint = config.fingerprint.hexadecimal
    architecture = config.hasDecoder ? "encoder-decoder" : "encoder"
    dModel = config.dModel
    dFf = config.dFF
    dKv = config.dKV
    headCount = config.headCount
    layerCount = config.layerCount
    decoderLayerCount = config.decoderLayerCount
    vocabularySize = config.vocabularySize
    positions = config.positionScheme == .learned ? "learned" : "relative_bias"
    relativeBiasBuckets = config.bucketCount
    relativeBiasMaxDistance = config.maxDistance
    maxPositions = config.maxPositions
    positionOffset = config.positionOffset
    tokenTypes = config.tokenTypeCount
    norm = config.normKind == .layer ? "layer" : "rms"
    normPlacement = config.normPlacement == .behind ? "behind" : "before"
    normEpsilon = config.normEpsilon
    activation = "\(config.activation.name)"
    gated = config.isGated
    biases = config.hasBiases
    embeddingNorm = config.hasEmbeddingNorm
    pooler = config.hasPooler
    tiedHead = config.hasTiedHead
    logitScale = config.logitScale
    attentionScale = config.attentionScale
    padId = config.padId
    eosId = config.eosId
    decoderStartId = config.decoderStartId
    weights = config.weightEncoding == .float32 ? "float32" : "int8"
    parameters = config.parameterCount
    tokenizer = hasTokenizer
    self.head = head.flatMap { HeadReport($0) }
  }
}

extension FileReport.Task {
  init(_ task: TaskSection) {
    let adapters = (0..<task.attachmentCount).compactMap { position -> TaskAdapter? in
      guard case .adapter(let adapter) = task.attachment(at: position) else { return nil }
      return adapter
    }
    let ofHead = [task.head?.first, task.head?.second]
    let linears = (0..<task.linearCount).filter { !ofHead.contains($0) }.map { task.linear(at: $0) }
    name = task.nameText
    origin = "\(task.origin.name)"
    fingerprint = task.fingerprint.hexadecimal
    bytes = task.bytes.count
    vocabularySize = task.vocabularySize
    self.adapters = adapters.count
    attachments = task.costs.map { AttachmentReport($0, of: task) }
    bottleneckWidths = Set(adapters.map(\.bottleneckWidth)).sorted()
    phmDims = Set(linears.map(\.phmDim)).sorted()
    factorRanks = Set(linears.map(\.factorRank)).sorted()
    activations = Set(adapters.map { "\($0.activation.name)" }).sorted()
    parametersByKind = TaskParameters(task)
    parameters = parametersByKind.total
    percentOfBackbone = 100 * Double(parameters) / Double(task.backboneParameterCount)
    head = HeadReport(task)
  }
}

extension FileReport.Section {
  init(_ entry: SectionEntry) {
    kind = entry.kind.map { "\($0.name)" } ?? "unknown(\(entry.rawKind))"
    ordinal = entry.ordinal
    offset = entry.offset
    bytes = entry.byteCount
    crc32 = String(format: "%08x", entry.checksum)
    required = entry.isRequired
  }
}

extension UInt64 {
  /// Sixteen digits in base 16, as a text: JSON readers round large numbers.
  var hexadecimal: String { String(format: "%016llx", self) }
}
