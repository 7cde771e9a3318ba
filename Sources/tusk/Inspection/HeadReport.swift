import TuskConversion
import TuskFormat

/// A head of a task or of a backbone: the member `head` of `formats/json.md`.
struct HeadReport: Encodable {
  let input: String
  let output: String
  let layerWidths: [Int]
  let activations: [String]
  let outWidth: Int
  let labels: [String]
  let unitLength: Bool
  let parameters: Int

  /// Nil for a section without a head.
  init?(_ section: TaskSection) {
    guard let head = section.head else { return nil }
    let layers = [(head.first, head.firstActivation), (head.second, head.secondActivation)]
      .compactMap { linear, activation in linear.map { (section.linear(at: $0), activation) } }
    input =
      switch head.input {
      case .firstToken: "first_token"
      case .pooler: "pooler"
      case .mean: "mean"
      }
    output =
      switch head.output {
      case .exclusiveLabels: "exclusive_labels"
      case .independentLabels: "independent_labels"
      case .numbers: "numbers"
      case .embedding: "embedding"
      }
    layerWidths = layers.map(\.0.outWidth)
    activations = layers.map { "\($0.1.name)" }
    outWidth = head.outWidth
    labels = (0..<head.labelCount).map { section.label(at: $0).text }
    unitLength = head.hasUnitLength
    parameters = section.headTensors.reduce(0) { $0 + section.tensor(at: $1).shape.elementCount }
  }

  /// One line for people, and one with the labels if there are any.
  var lines: [String] {
    let sources = ["first_token": "the first token", "pooler": "the pooler", "mean": "the mean of all tokens"]
    let layers = zip(layerWidths, activations).map { width, activation in
      width.grouped + (activation == "identity" ? "" : " \(activation)")
    }
    let path = ([sources[input] ?? input] + layers + (unitLength ? ["length 1"] : [])).joined(separator: " -> ")
    let line = "head: \(output.replacing("_", with: " ")) from \(path), \(parameters.counted("parameter"))"
    guard !labels.isEmpty else { return [line] }
    return [line, "labels: " + labels.map(\.printable).joined(separator: ", ")]
  }
}

extension TaskSection {
  /// The tensors that the head's layers name.
  var headTensors: Set<Int> {
    guard let head else { return [] }
    return [head.first, head.second].compactMap { $0 }.reduce(into: []) { tensors, position in
      let linear = linear(at: position)
      tensors.formUnion(
        [
          linear.rule, linear.ruleLeft, linear.ruleRight, linear.leftFactor, linear.rightFactor, linear.full,
          linear.bias,
        ].compactMap { $0 })
    }
  }
}
