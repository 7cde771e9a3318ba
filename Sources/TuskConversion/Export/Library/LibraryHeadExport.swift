import TuskFormat

/// A head as one of the `adapters` library's own: linears with an activation between them.
struct LibraryHeadExport {
  let config: JSONValue
  private(set) var state = StateDict()

  /// nil when the task has none.
  init?(_ request: ExportRequest) throws(ConversionError) {
    let contents = request.contents
    guard let head = contents.section.head else { return nil }
    let rule =
      "heads of the adapters library are one or two layers over the first token or the pooler's output, the first as wide as "
      + "the model, an activation between them and none behind, for classes or one number"
    guard let first = head.first, head.input != .mean, !head.hasUnitLength, head.output != .embedding,
      head.output != .numbers || head.outWidth == 1
    else { throw contents.inexpressible(.head, at: nil, rule) }
    let last = contents.section.linear(at: head.second ?? first)
    let lastActivation = head.second == nil ? head.firstActivation : head.secondActivation
    guard lastActivation == .identity,
      head.second == nil || contents.section.linear(at: first).outWidth == request.config.dModel
    else { throw contents.inexpressible(.head, at: nil, rule) }
    var labels: [String: JSONValue] = [:]
    for position in 0..<head.labelCount { labels[contents.section.labelText(position)] = .integer(position) }
    guard labels.count == head.labelCount else {
      throw contents.inexpressible(.head, at: nil, "two labels have one name, which is what the format tells them by")
    }
    let activation: JSONValue =
      head.second == nil || head.firstActivation == .identity ? .null : .string(head.firstActivation.transformersName)
    config = .object([
      "head_type": .string(head.output == .independentLabels ? "multilabel_classification" : "classification"),
      "num_labels": .integer(head.outWidth), "layers": .integer(head.second == nil ? 1 : 2),
      "activation_function": activation, "use_pooler": .bool(head.input == .pooler), "bias": .bool(last.bias != nil),
      "label2id": labels.isEmpty ? .null : .object(labels), "dropout_prob": .null,
    ])
    // Dropouts and activations count too.
    let prefix = "heads.\(request.name)."
    if head.second != nil {
      let linear = contents.section.linear(at: first)
      state.add(prefix + "1.weight", [linear.outWidth, linear.inWidth], contents.denseWeight(linear))
      state.add(prefix + "1.bias", [linear.outWidth], contents.bias(linear))
    }
    let number = head.second == nil ? 1 : head.firstActivation == .identity ? 3 : 4
    state.add("\(prefix)\(number).weight", [last.outWidth, last.inWidth], contents.denseWeight(last))
    if last.bias != nil { state.add("\(prefix)\(number).bias", [last.outWidth], contents.bias(last)) }
  }
}
