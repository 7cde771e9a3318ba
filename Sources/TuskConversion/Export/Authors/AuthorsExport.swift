import TuskFormat

/// A task as the output directory of the Compacter authors' code: the whole model with the task's parts in it.
struct AuthorsExport {
  private let request: ExportRequest
  private let model: AuthorsModel
  private var state = StateDict()
  private var training: [String: JSONValue]

  private var contents: TaskContents { request.contents }

  init(_ request: ExportRequest) throws(ConversionError) {
    self.request = request
    let contents = request.contents
    guard request.config.hasDecoder else {
      throw ConversionError(
        .inexpressible, file: contents.file,
        "the task belongs to an encoder; the authors' code has T5 only. The formats adapterhub and peft have encoders")
    }
    try contents.requireOnly(
      [.adapter, .bias, .prompt, .norm, .normBias],
      "the authors' code trains adapters, the model's norms, biases (BitFit) and prompts")
    let hasBiases = !contents.normBiases.isEmpty || contents.products.contains { $0.part.bias != nil }
    guard hasBiases || contents.prompt != nil || !contents.adapters.isEmpty else {
      throw contents.inexpressible(
        .norm, at: nil,
        "the authors' code trains norms beside adapters, biases or prompts, and the task has none of these")
    }
    guard let checkpoint = request.checkpoint else {
      throw ConversionError(
        .cannotOpen, file: contents.file,
        "a directory of the authors' code holds the whole model, whose weights a pack no longer has as they were trained; "
          + "the Hugging Face directory that the backbone was packed from is required (--checkpoint)")
    }
    model = try AuthorsModel(checkpoint, request)
    training = ["task_name": .string(request.name)]
    let adapters = try AuthorsAdapterExport(request)
    adapters?.add(to: &state)
    if let adapters { training.merge(adapters.settings) { $1 } }
    addModel()
    if let prompt = contents.prompt { try addPrompt(prompt) }
    if hasBiases { addBiases() }
  }

  func files() throws(ConversionError) -> ExportFiles {
    var config = model.settings.values
    config["architectures"] = .array([.string("T5ForConditionalGeneration")])
    config["vocab_size"] = .integer(contents.section.vocabularySize)
    config["train_task_adapters"] = .bool(!contents.adapters.isEmpty)
    config["prefix_tuning"] = .bool(contents.prompt != nil)
    return ExportFiles(
      settings: [("config.json", .object(config)), ("training_config.json", .object(training))],
      tensors: [("pytorch_model.bin", state)])
  }

  /// The backbone's tensors, of the embedding and the head the rows that the task knows, with the task's norms in the
  /// place of the backbone's.
  private mutating func addModel() {
    let norms = Dictionary(uniqueKeysWithValues: contents.norms.map { ($0.slot, $0.tensor) })
    for position in 0..<request.config.tensorCount {
      let spec = request.config.tensorSpec(at: position)
      let norm = spec.role.isNorm ? norms[request.config.slots.slot(ofNorm: spec)] : nil
      let isVocabulary = spec.role == .embedding || spec.role == .head
      let rows = isVocabulary ? contents.section.vocabularySize : spec.rows
      state.add(
        T5Names.name(of: spec), isVocabulary ? [rows, spec.columns] : spec.sourceShape,
        model.storage(at: position, rows: rows, insteadOf: norm.map(contents.values)))
    }
    for alias in T5Names.embeddingAliases(hasTiedHead: request.config.hasTiedHead) {
      state.add(alias, sameAs: T5Names.embedding)
    }
    if !contents.adapters.isEmpty { training["unfreeze_layer_norms"] = .bool(!norms.isEmpty) }
  }

  private mutating func addPrompt(_ prompt: TaskPrompt) throws(ConversionError) {
    guard prompt.place == .front, prompt.firstToken == 0 else {
      throw contents.inexpressible(
        .prompt, at: nil, "its vectors stand behind the first token; those of the authors' code stand in front")
    }
    state.add(
      AuthorsPrompt.names[0], [prompt.tokenCount, request.config.dModel], contents.values(prompt.embeddings))
    for copy in AuthorsPrompt.names.dropFirst() { state.add(copy, sameAs: AuthorsPrompt.names[0]) }
    training["prefix_tuning"] = .bool(true)
    training["prefix_dim"] = .integer(prompt.tokenCount)
  }

  /// A bias for every linear, the head's among them, and for every norm of a block, as the authors' code has them: zeros
  /// where the task has none. Of the final norms only what the task has.
  private mutating func addBiases() {
    let modules = BackboneModules(.t5, request.config)
    var biases: [ProductPlace: Int] = [:]
    for (slot, product) in contents.products {
      biases[modules.product(product.target, slot: slot).place] = product.bias
    }
    for (name, place) in modules.products.sorted(by: { $0.key < $1.key }) {
      addBias(name, width: place.target == .head ? contents.section.vocabularySize : place.outWidth, biases[place])
    }
    let norms = Dictionary(uniqueKeysWithValues: contents.normBiases.map { ($0.slot, $0.tensor) })
    for (name, slot) in modules.norms.sorted(by: { $0.key < $1.key })
    where norms[slot] != nil || contents.site(ofSlot: slot) != nil {
      addBias(name, width: request.config.dModel, norms[slot])
    }
    training["bitfit"] = .bool(true)
    training["freeze_bitfit_lm_head"] = .bool(true)
  }

  private mutating func addBias(_ module: String, width: Int, _ tensor: Int?) {
    state.add(module + ".bias", [width], tensor.map(contents.values) ?? [Float](repeating: 0, count: width))
  }
}
