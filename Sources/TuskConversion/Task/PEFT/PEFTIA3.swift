import TuskFormat

/// (IA)3: a vector that scales the output of a linear, or, in a feed-forward, its input. Which of them, the vector's shape
/// says.
struct PEFTIA3 {
  private static let vector = ".ia3_l"

  private let directory: PEFTDirectory

  init(_ directory: PEFTDirectory) { self.directory = directory }

  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    let modules = directory.modules(with: [Self.vector])
    for module in modules {
      let name = module + Self.vector
      let place = try directory.place(of: module, Self.vector)
      let tensor = directory.tensors[name]!
      guard tensor.shape.first == 1, tensor.shape.last != 1 || place.outWidth != 1 else {
        assembly.setOutputScale(try assembly.take(name, shape: [place.outWidth, 1]), at: place)
        continue
      }
      guard place.target == .o || place.target == .wo else {
        throw ConversionError(
          .unsupported, file: tensor.sourceFile, subject: tensor.name,
          "found a vector for the input of '\(module.printable)' (feedforward_modules); inputs are scaled only of the "
            + "last linear of an attention or feed-forward")
      }
      assembly.setInputScale(try assembly.take(name, shape: [1, place.inWidth]), at: place)
    }
    try directory.requireTargets(modules, among: directory.modules.products.keys)
  }
}
