import TuskFormat

/// A classifier as that of the family's class ...ForSequenceClassification, which PEFT saves beside an adapter.
struct PEFTHeadExport {
  /// What the settings call what is saved whole.
  let modules: [String]
  /// Settings that name the outputs.
  let labels: JSONValue
  private let contents: TaskContents
  private let layers: [(prefix: String, linear: TaskLinear)]

  /// nil when the task has none.
  /// - Throws: `.inexpressible` for a head that the class does not have.
  init?(_ request: ExportRequest) throws(ConversionError) {
    let contents = request.contents
    guard let head = contents.section.head else { return nil }
    let expected = HeadSource.classifier(
      request.family, dModel: request.config.dModel, labels: [String](repeating: "", count: head.outWidth),
      output: head.output)
    let own = [(head.first, head.firstActivation), (head.second, head.secondActivation)].filter { $0.0 != nil }
    let linears = own.map { contents.section.linear(at: $0.0!) }
    guard head.input == expected.input, head.output != .embedding, !head.hasUnitLength,
      own.map(\.1) == expected.layers.map(\.activation), linears.map(\.outWidth) == expected.layers.map(\.outWidth)
    else {
      throw contents.inexpressible(
        .head, at: nil,
        "PEFT saves the head of the model's class, \(request.family.classPrefix)ForSequenceClassification: "
          + Self.describe(expected))
    }
    self.contents = contents
    layers = zip(expected.layers, linears).map { ($0.prefix, $1) }
    modules = Set(expected.layers.map { String($0.prefix.prefix { $0 != "." }) }).sorted()
    var settings: [String: JSONValue] = ["num_labels": .integer(head.outWidth)]
    if head.labelCount > 0 {
      let names = (0..<head.labelCount).map { ("\($0)", JSONValue.string(contents.section.labelText($0))) }
      settings = ["id2label": .object(Dictionary(uniqueKeysWithValues: names))]
    }
    settings["problem_type"] =
      switch head.output {
      case .exclusiveLabels, .embedding: .string("single_label_classification")
      case .independentLabels: .string("multi_label_classification")
      case .numbers: .string("regression")
      }
    labels = .object(settings)
  }

  func add(to state: inout StateDict, prefix: String) {
    for (name, linear) in layers {
      state.add(prefix + name + "weight", [linear.outWidth, linear.inWidth], contents.denseWeight(linear))
      state.add(prefix + name + "bias", [linear.outWidth], contents.bias(linear))
    }
  }

  private static func describe(_ head: HeadSource) -> String {
    let input = head.input == .pooler ? "the pooler's output" : "the first token"
    guard head.layers.count == 2 else { return "one layer over \(input)" }
    return "two layers over \(input), \(head.layers[0].activation.transformersName) between them"
  }
}
