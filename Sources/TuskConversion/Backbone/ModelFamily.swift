import TuskFormat

/// A family of models that Hugging Face stores in one way: its `model_type`.
enum ModelFamily: String, CaseIterable {
  case t5
  case bert
  case roberta
  case xlmRoberta = "xlm-roberta"
  case camembert
  case distilBert = "distilbert"
  case electra

  /// The family that a `config.json` names.
  init(_ settings: Settings) throws(ConversionError) {
    let modelType = try settings.optionalText("model_type")
    guard let modelType, let family = ModelFamily(rawValue: modelType) else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "model_type",
        "found \(modelType.map { "'\($0.printable)'" } ?? "no such setting"); Tusk converts models of type "
          + Self.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", "))
    }
    self = family
  }

  var isEncoderOnly: Bool { self != .t5 }

  /// Whether it is a RoBERTa but for its vocabulary.
  var isRoberta: Bool { self == .roberta || self == .xlmRoberta || self == .camembert }

  /// What people call a model of the family.
  var title: String {
    switch self {
    case .t5: "T5"
    case .bert: "BERT"
    case .roberta: "RoBERTa"
    case .xlmRoberta: "XLM-RoBERTa"
    case .camembert: "CamemBERT"
    case .distilBert: "DistilBERT"
    case .electra: "ELECTRA"
    }
  }

  /// Prefixes that wrapping classes put in front of every name.
  private var prefixes: [String] {
    switch self {
    case .t5: T5Names.prefixes
    case .bert: ["bert.", "module."]
    case .roberta, .xlmRoberta, .camembert: ["roberta.", "module."]
    case .distilBert: ["distilbert.", "module."]
    case .electra: ["electra.", "module."]
    }
  }

  /// `name` without the prefix of a wrapping class, and with the present names of a LayerNorm's parts.
  func canonical(_ name: String) -> String {
    var name = name
    for prefix in prefixes where name.hasPrefix(prefix) {
      name = String(name.dropFirst(prefix.count))
      break
    }
    guard isEncoderOnly else { return name }
    // What TensorFlow called them, in checkpoints of 2018 and 2019.
    for (old, new) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")]
    where name.hasSuffix(old) {
      return name.dropLast(old.count) + new
    }
    return name
  }

  /// Whether nothing uses the tensor called `name`.
  func ignores(_ name: String) -> Bool {
    isEncoderOnly ? EncoderNames(self).ignores(name) : T5Names.ignorable.contains(name)
  }

  func name(of spec: TensorSpec) -> String {
    isEncoderOnly ? EncoderNames(self).name(of: spec) : T5Names.name(of: spec)
  }

  var embedding: String { isEncoderOnly ? EncoderNames.embedding : T5Names.embedding }

  /// What begins the names of an adapter's tensors at `site`.
  func prefix(of site: AdapterSite) -> String {
    isEncoderOnly ? EncoderNames(self).sitePrefix(site.subLayer, layer: site.layer) : site.t5Prefix
  }

  /// Whether the tensor called `name` is part of a checkpoint's own head for sequence classification.
  func isClassifier(_ name: String) -> Bool { isEncoderOnly && EncoderNames(self).isClassifier(name) }

  /// Other names under which a checkpoint may store the embedding.
  func embeddingAliases(_ config: BackboneConfig) -> [String] {
    isEncoderOnly ? [] : T5Names.embeddingAliases(hasTiedHead: config.hasTiedHead)
  }
}
