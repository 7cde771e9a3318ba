import TuskFormat

/// A prediction head of an encoder: what it computes, and where its source keeps the layers.
struct HeadSource {
  struct Layer {
    /// Begins the names of the layer's `weight` [out, in] and `bias`.
    let prefix: String
    let outWidth: Int
    let hasBias: Bool
    /// Behind the layer.
    let activation: Activation
    /// The layer's numbers where its source does not have them.
    var stored: Stored?
  }

  /// A layer that another file has.
  struct Stored {
    /// [in, out], row-major.
    let full: [Float]
    let bias: [Float]
  }

  var input: HeadInput
  var output: HeadOutput
  /// At most two.
  var layers: [Layer] = []
  var hasUnitLength = false
  var labels: [String] = []

  /// The head that the classes of transformers for sequence classification have.
  /// - Parameter family: one of encoders.
  static func classifier(
    _ family: ModelFamily, dModel: Int, labels: [String], output: HeadOutput
  ) -> HeadSource {
    func layer(_ prefix: String, _ outWidth: Int, _ activation: Activation = .identity) -> Layer {
      Layer(prefix: prefix, outWidth: outWidth, hasBias: true, activation: activation)
    }
    var head = HeadSource(input: .firstToken, output: output, labels: labels)
    switch family {
    case .roberta, .xlmRoberta, .camembert:
      head.layers = [layer("classifier.dense.", dModel, .tanh), layer("classifier.out_proj.", labels.count)]
    case .distilBert:
      head.layers = [layer("pre_classifier.", dModel, .relu), layer("classifier.", labels.count)]
    case .electra:
      head.layers = [layer("classifier.dense.", dModel, .gelu), layer("classifier.out_proj.", labels.count)]
    case .bert, .t5:
      head.input = .pooler
      head.layers = [layer("classifier.", labels.count)]
    }
    return head
  }
}

/// Names and meaning of a head's outputs, as settings of Hugging Face say them.
enum HeadLabels {
  private static let countLimit = 65_536

  /// The names by their number: the values of `label2id`, else as many of `id2label`, else what transformers calls
  /// outputs that nobody named.
  static func read(_ settings: Settings) throws(ConversionError) -> [String] {
    let count = try settings.optionalInteger("num_labels")
    if let numbers = try settings.optionalObject("label2id"), !numbers.values.isEmpty {
      var names: [Int: String] = [:]
      for (name, value) in numbers.values {
        guard let number = value.asInteger, names.updateValue(name, forKey: number) == nil else {
          throw settings.error("label2id", required: "a number of its own for each label")
        }
      }
      return try ordered(names, count: count, settings, "label2id")
    }
    if let texts = try settings.optionalObject("id2label"), !texts.values.isEmpty {
      var names: [Int: String] = [:]
      for (key, value) in texts.values {
        guard let number = Int(key), case .string(let name) = value else {
          throw settings.error("id2label", required: "a name for each number")
        }
        names[number] = name
      }
      return try ordered(names, count: count, settings, "id2label")
    }
    let outputs = count ?? 2
    guard (1...countLimit).contains(outputs) else {
      throw settings.error("num_labels", required: "a number of 1 to \(countLimit)")
    }
    return (0..<outputs).map { "LABEL_\($0)" }
  }

  private static func ordered(
    _ names: [Int: String], count: Int?, _ settings: Settings, _ key: String
  ) throws(ConversionError) -> [String] {
    guard names.count <= countLimit, count ?? names.count == names.count else {
      throw settings.error(key, required: "as many labels as num_labels, at most \(countLimit),")
    }
    var labels: [String] = []
    for number in 0..<names.count {
      guard let name = names[number] else { throw settings.error(key, required: "the numbers from 0 on") }
      guard (1...255).contains(name.utf8.count),
        !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
      else {
        throw ConversionError(
          .badSetting, file: settings.file, subject: key,
          "found the label '\(name.printable)'; a label has 1 to 255 bytes and no control characters")
      }
      labels.append(name)
    }
    return labels
  }

  /// One output alone is a number: transformers trains it by regression.
  static func output(_ settings: Settings, count: Int) throws(ConversionError) -> HeadOutput {
    switch try settings.optionalText("problem_type") {
    case "regression": return .numbers
    case "multi_label_classification": return .independentLabels
    case "single_label_classification", nil: return count == 1 ? .numbers : .exclusiveLabels
    case .some:
      throw settings.error(
        "problem_type", required: "regression, single_label_classification or multi_label_classification")
    }
  }
}
