import TuskFormat

/// What a task changes beside adapters: products, norms, keys and values, embeddings.
extension TaskAssembly {
  /// The values of the tensor called `name`.
  mutating func take(_ name: String, shape: [Int]) throws(ConversionError) -> [Float] {
    try ledger.take(name, shape: shape)
  }

  /// Adds `scaling * (x A^T) B^T` to a product.
  /// - Parameters:
  ///   - a: [rank, in], row-major.
  ///   - b: [out, rank].
  ///   - bias: [out] of the second factor, scaled with it.
  mutating func addLowRank(
    at place: ProductPlace, a: [Float], b: [Float], rank: Int, scaling: Float, bias: [Float]? = nil
  ) {
    var linear = TaskLinear(inWidth: place.inWidth, outWidth: place.outWidth, phmDim: 1, factorRank: rank)
    linear.leftFactor = builder.addTensor(
      .leftFactor, TensorShape(1, place.inWidth, rank), a.transposed(rows: rank, columns: place.inWidth))
    linear.rightFactor = builder.addTensor(
      .rightFactor, TensorShape(1, rank, place.outWidth), b.transposed(rows: place.outWidth, columns: rank))
    linear.bias = bias.map { builder.addTensor(.bias, TensorShape(place.outWidth), $0) }
    let index = builder.addLinear(linear)
    change(place) {
      $0.linear = index
      $0.scaling = scaling
    }
  }

  /// Adds `scaling * x (rule (x) left right)` to a product: a Kronecker product with the rule [inBlocks, outBlocks] on
  /// its left.
  /// - Parameters:
  ///   - left: [in / inBlocks, rank], or [in / inBlocks, out / outBlocks] without `right`.
  ///   - right: [rank, out / outBlocks].
  mutating func addKronecker(
    at place: ProductPlace, rule: Matrix, left: Matrix, right: Matrix?, scaling: Float
  ) {
    var linear = TaskLinear(
      inWidth: place.inWidth, outWidth: place.outWidth, phmDim: 1, inBlocks: rule.rows, outBlocks: rule.columns,
      factorRank: right?.rows ?? 0)
    linear.rule = builder.addTensor(.rule, TensorShape(1, rule.rows, rule.columns), rule.values)
    let shape = TensorShape(1, left.rows, left.columns)
    if let right {
      linear.leftFactor = builder.addTensor(.leftFactor, shape, left.values)
      linear.rightFactor = builder.addTensor(.rightFactor, TensorShape(1, right.rows, right.columns), right.values)
    } else {
      linear.full = builder.addTensor(.full, shape, left.values)
    }
    let index = builder.addLinear(linear)
    change(place) {
      $0.linear = index
      $0.scaling = scaling
    }
  }

  /// Puts `values` [out] in the place of a product's bias.
  mutating func setBias(_ values: [Float], at place: ProductPlace) {
    let tensor = builder.addTensor(.bias, TensorShape(place.outWidth), values)
    change(place) { $0.bias = tensor }
  }

  /// Multiplies a product's output, its bias included, by `values` [out].
  mutating func setOutputScale(_ values: [Float], at place: ProductPlace) {
    let tensor = builder.addTensor(.outputScale, TensorShape(place.outWidth), values)
    change(place) { $0.outputScale = tensor }
  }

  /// Multiplies a product's input by `values` [in].
  mutating func setInputScale(_ values: [Float], at place: ProductPlace) {
    let tensor = builder.addTensor(.inputScale, TensorShape(place.inWidth), values)
    change(place) { $0.inputScale = tensor }
  }

  /// Replaces the bias of the norm at `slot`, or gives it one.
  mutating func setNormBias(_ values: [Float], slot: Int) {
    builder.setNormBias(builder.addTensor(.taskNormBias, TensorShape(config.dModel), values), slot: slot)
  }

  /// Puts keys and values [count, H K] in front of those at `slot`.
  mutating func addPrefix(slot: Int, count: Int, keys: [Float], values: [Float], queryOffset: Int)
    throws(ConversionError)
  {
    let shape = TensorShape(count, config.innerWidth)
    try attach(
      .prefix(
        TaskPrefix(
          tokenCount: count, keys: builder.addTensor(.prefixKeys, shape, keys),
          values: builder.addTensor(.prefixValues, shape, values), queryOffset: queryOffset)),
      slot: slot)
  }

  /// Puts `embeddings` [count, D] among those of the encoder's tokens. A head takes the first row.
  mutating func addPrompt(count: Int, embeddings: [Float], place: TaskPrompt.Place, stage: TaskPrompt.Stage)
    throws(ConversionError)
  {
    try attach(
      .prompt(
        TaskPrompt(
          tokenCount: count, embeddings: builder.addTensor(.prompt, TensorShape(count, config.dModel), embeddings),
          place: place, stage: stage, firstToken: 0)),
      slot: config.slots.encoderStart)
  }
}

/// Rows of keys and values as both libraries store them, [P, 2 layers, H K]: of each layer keys, then values.
struct KeysAndValues {
  private let values: [Float]
  private let layerCount: Int
  private let width: Int

  /// - Precondition: `values` are whole rows.
  init(_ values: [Float], layerCount: Int, width: Int) {
    precondition(values.count % (2 * layerCount * width) == 0, "these are no whole rows")
    self.values = values
    self.layerCount = layerCount
    self.width = width
  }

  /// Vectors `number` of all rows, [P, H K].
  subscript(number: Int) -> [Float] {
    var vectors: [Float] = []
    for start in stride(from: number * width, to: values.count, by: 2 * layerCount * width) {
      vectors += values[start..<start + width]
    }
    return vectors
  }
}

/// A small matrix, row-major.
struct Matrix {
  let rows: Int
  let columns: Int
  let values: [Float]

  var transposed: Matrix {
    Matrix(rows: columns, columns: rows, values: values.transposed(rows: rows, columns: columns))
  }

  /// - Precondition: the columns of `left` are as many as the rows of `right`.
  static func * (left: Matrix, right: Matrix) -> Matrix {
    precondition(left.columns == right.rows, "these matrices cannot be multiplied")
    var values = [Float](repeating: 0, count: left.rows * right.columns)
    for row in 0..<left.rows {
      for inner in 0..<left.columns {
        let factor = left.values[row * left.columns + inner]
        for column in 0..<right.columns {
          values[row * right.columns + column] += factor * right.values[inner * right.columns + column]
        }
      }
    }
    return Matrix(rows: left.rows, columns: right.columns, values: values)
  }
}
