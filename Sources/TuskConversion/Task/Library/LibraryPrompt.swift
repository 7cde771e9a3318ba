import TuskFormat

/// Prompt tuning of the `adapters` library: vectors behind the embeddings and their norm, of encoders only.
struct LibraryPrompt {
  private let settings: Settings
  /// P.
  private let count: Int
  private let place: TaskPrompt.Place

  init(_ settings: Settings) throws(ConversionError) {
    try settings.requireKnown(
      [
        "architecture", "prompt_length", "combine", "prompt_init", "prompt_init_text", "random_uniform_scale",
        "init_weights_seed",
      ], refused: [:])
    self.settings = settings
    count = try settings.integer("prompt_length", in: 1...4096)
    switch try settings.optionalText("combine") {
    case nil, "prefix": place = .front
    case "prefix_after_bos": place = .behindFirstToken
    default: throw settings.error("combine", required: "prefix or prefix_after_bos")
    }
  }

  func assemble(_ assembly: inout TaskAssembly, _ task: LibraryTask) throws(ConversionError) {
    guard task.family.isEncoderOnly else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "architecture",
        "found prompt tuning of a T5, which the library itself cannot run; encoders are supported")
    }
    let name = "prompt_tuning.prompt_tunings.\(task.name).prompt_embedding.weight"
    try assembly.addPrompt(
      count: count, embeddings: try assembly.take(name, shape: [count, assembly.config.dModel]), place: place,
      stage: .embeddings)
  }
}
