import TuskFormat

/// LoKr: `y += scaling * x (w1 (x) w2)^T` at each linear that the file has the operands for; either may be a product of
/// two matrices.
struct PEFTLoKr {
  private static let parts = [".lokr_w1", ".lokr_w1_a", ".lokr_w1_b", ".lokr_w2", ".lokr_w2_a", ".lokr_w2_b"]

  private let directory: PEFTDirectory
  private let scale: PEFTScale

  init(_ directory: PEFTDirectory) throws(ConversionError) {
    self.directory = directory
    scale = try PEFTScale(directory.settings, alphaKey: "alpha")
    if let tensor = directory.tensors.filter({ $0.key.hasSuffix(".lokr_t2") }).min(by: { $0.key < $1.key })?.value {
      throw ConversionError(
        .unsupported, file: tensor.sourceFile, subject: tensor.name,
        "found a Tucker decomposition, which is for convolutions; linears are supported")
    }
  }

  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    let modules = directory.modules(with: Self.parts)
    for module in modules { try add(module, to: &assembly) }
    try directory.requireTargets(modules, among: directory.modules.products.keys)
  }

  private func add(_ module: String, to assembly: inout TaskAssembly) throws(ConversionError) {
    let suffix = Self.parts.first { directory.tensors[module + $0] != nil } ?? ""
    let place = try directory.place(of: module, suffix)
    let trainedName = directory.trainedName(module, suffix)
    let rank = try scale.rank(of: trainedName)
    let first = try operand(module + ".lokr_w1", rank, &assembly)
    let second = try operand(module + ".lokr_w2", rank, &assembly)
    let whole = first.right.map { first.left * $0 } ?? first.left
    let secondColumns = second.right?.columns ?? second.left.columns
    guard whole.rows * second.left.rows == place.outWidth, whole.columns * secondColumns == place.inWidth else {
      throw ConversionError(
        .misshapenTensor, file: directory.checkpoint.firstFile, subject: module,
        "the operands give a matrix of \(whole.rows * second.left.rows) x \(whole.columns * secondColumns); the "
          + "backbone's has \(place.outWidth) x \(place.inWidth)")
    }
    // Of the matrix [out, in] they give the transpose: so are both operands, and the factors change places.
    assembly.addKronecker(
      at: place, rule: whole.transposed, left: (second.right ?? second.left).transposed,
      right: second.right == nil ? nil : second.left.transposed, scaling: try scale.scaling(of: trainedName))
  }

  /// A matrix, or two whose product it is.
  private func operand(
    _ name: String, _ rank: Int, _ assembly: inout TaskAssembly
  ) throws(ConversionError) -> (left: Matrix, right: Matrix?) {
    if directory.tensors[name] != nil { return (try matrix(name, &assembly), nil) }
    let left = try matrix(name + "_a", &assembly)
    let right = try matrix(name + "_b", &assembly)
    guard left.columns == rank, right.rows == rank else {
      throw scale.rankError(left.columns, directory.tensors[name + "_a"]!)
    }
    guard rank <= max(left.rows, right.columns) else {
      throw directory.settings.error("r", required: "a rank that is no larger than the operands")
    }
    return (left, right)
  }

  private func matrix(_ name: String, _ assembly: inout TaskAssembly) throws(ConversionError) -> Matrix {
    guard let tensor = directory.tensors[name] else {
      throw ConversionError(
        .missingTensor, file: directory.checkpoint.firstFile, subject: name, "found no such tensor of a LoKr")
    }
    guard tensor.shape.count == 2, tensor.shape.allSatisfy({ (1...65_536).contains($0) }) else {
      throw ConversionError(
        .misshapenTensor, file: tensor.sourceFile, subject: tensor.name,
        "found shape \(tensor.shape); a matrix of at most 65536 rows and columns is required")
    }
    return Matrix(
      rows: tensor.shape[0], columns: tensor.shape[1], values: try assembly.take(name, shape: tensor.shape))
  }
}
