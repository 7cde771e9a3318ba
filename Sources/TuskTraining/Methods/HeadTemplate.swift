import TuskFormat

/// The head that a task for an encoder begins with. L labels.
public struct HeadTemplate: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// One of these labels holds; they are the outputs' names.
    case classification(labels: [String])
    /// One number.
    case regression
  }

  public enum Layers: Equatable, Sendable {
    /// Of the first token's output: linear D -> D, tanh, linear D -> L. The head of the `adapters` library.
    case two
    /// Of the backbone's pooler: linear D -> L. The head of BertForSequenceClassification; its pooler stays the backbone's.
    case onPooler
  }

  public var kind: Kind
  public var layers: Layers

  public init(_ kind: Kind, layers: Layers = .two) {
    self.kind = kind
    self.layers = layers
  }

  /// L.
  public var outWidth: Int {
    switch kind {
    case .classification(let labels): labels.count
    case .regression: 1
    }
  }

  /// Of the weights of linears; biases begin as 0.
  /// - Source: `initializer_range` of BERT, which heads of the library follow
  static let deviation = 0.02

  /// - Throws: `.unsupported` for a backbone without such a head, or labels that are none.
  func requireFit(to config: BackboneConfig) throws(TrainingError) {
    guard !config.hasDecoder else {
      throw TrainingError(.unsupported, "an encoder-decoder answers with text; only encoders have heads")
    }
    guard layers != .onPooler || config.hasPooler else {
      throw TrainingError(.unsupported, "the backbone has no pooler, which the head was to stand on")
    }
    guard case .classification(let labels) = kind else { return }
    guard labels.count > 1, Set(labels).count == labels.count else {
      throw TrainingError(
        .unsupported,
        "found \(labels.count) labels, \(Set(labels).count) different ones; 2 or more, all different, are required")
    }
    for label in labels where !label.isPackedName {
      throw TrainingError(
        .unsupported,
        "found a label of \(label.utf8.count) bytes; 1 to 255 without control characters are required")
    }
  }

  /// Puts the head into `builder`. Its weights are drawn from a stream of their own, so that tasks of one seed begin with
  /// the same head, whatever their method.
  func build(_ builder: inout TaskBuilder, dModel: Int, seed: UInt64) {
    var random = SplitMix64(seed: seed, stream: 1)
    func linear(_ inWidth: Int, _ outWidth: Int) -> Int {
      let values = InitialValues.normal(deviation: Self.deviation).draw(inWidth * outWidth, &random)
      let full = builder.addTensor(.full, TensorShape(1, inWidth, outWidth), values)
      let bias = builder.addTensor(.bias, TensorShape(outWidth), [Float](repeating: 0, count: outWidth))
      return builder.addLinear(
        TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0, full: full, bias: bias))
    }
    var labels: [String] = []
    var output = HeadOutput.numbers
    if case .classification(let names) = kind { (labels, output) = (names, .exclusiveLabels) }
    let head: TaskHead
    switch layers {
    case .two:
      head = TaskHead(
        input: .firstToken, output: output, first: linear(dModel, dModel), firstActivation: .tanh,
        second: linear(dModel, outWidth), outWidth: outWidth)
    case .onPooler:
      head = TaskHead(input: .pooler, output: output, first: linear(dModel, outWidth), outWidth: outWidth)
    }
    builder.setHead(head, labels: labels.map { Array($0.utf8) })
  }
}

extension String {
  /// Whether a packed file can hold it as a name.
  var isPackedName: Bool {
    (1...255).contains(utf8.count) && !unicodeScalars.contains { $0.properties.generalCategory == .control }
  }
}
