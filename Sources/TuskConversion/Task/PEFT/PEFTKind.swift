/// A method of the PEFT library that Tusk converts: its `peft_type`.
enum PEFTKind: String, CaseIterable {
  case lora = "LORA"
  case lokr = "LOKR"
  case ia3 = "IA3"
  case normTuning = "LN_TUNING"
  case prefixTuning = "PREFIX_TUNING"
  case promptTuning = "PROMPT_TUNING"
  case promptEncoder = "P_TUNING"

  init(_ settings: Settings) throws(ConversionError) {
    let name = try settings.optionalText("peft_type")
    guard let name, let kind = PEFTKind(rawValue: name) else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "peft_type",
        "found \(name.map { "'\($0.printable)'" } ?? "no such setting"); of the PEFT library's kinds "
          + Self.allCases.map(\.rawValue).joined(separator: ", ") + " are supported")
    }
    self = kind
  }

  /// Whether it adds vectors to what a model reads, and leaves its modules alone.
  var isPromptLearning: Bool {
    switch self {
    case .prefixTuning, .promptTuning, .promptEncoder: true
    case .lora, .lokr, .ia3, .normTuning: false
    }
  }

  /// Checks that every setting is one whose meaning is known, and that none asks for what Tusk does not do.
  func requireSupported(_ settings: Settings) throws(ConversionError) {
    let refused = self == .lora ? Self.refusedOfLoRA : [:]
    let known = Self.common.union(own).union(training)
    // The library writes each of its settings, and every release has more of them: those that are off change nothing.
    let unknown = settings.values.filter { !known.contains($0.key) && !$0.value.isOff }
    try Settings(unknown, file: settings.file).requireKnown([], refused: refused)
    if let initial = settings["init_lora_weights"]?.asText?.lowercased(),
      Self.changingInitializations.contains(where: { initial.hasPrefix($0) })
    {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "init_lora_weights",
        "found '\(initial.printable)', which changes the backbone's own matrices at the start of training; save the "
          + "adapter again with path_initial_model_for_weight_conversion, which makes a plain LoRA of it")
    }
  }

  /// Settings of every kind that say what was trained on what, but nothing about the arithmetic, or that are read where
  /// they matter.
  private static let common: Set<String> = [
    "peft_type", "peft_version", "task_type", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping",
    "modules_to_save", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
  ]

  /// Settings that the arithmetic depends on.
  private var own: Set<String> {
    switch self {
    case .lora: ["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "lora_bias", "bias"]
    case .lokr: ["r", "alpha", "rank_pattern", "alpha_pattern"]
    case .ia3: ["feedforward_modules"]
    case .normTuning: []
    case .prefixTuning, .promptTuning, .promptEncoder:
      ["num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers"]
    }
  }

  /// Settings that only training or initialisation looks at, or that concern other modules than linears. The order of
  /// a linear's matrix, `fan_in_fan_out`, is one of them: the library sets it by the module itself.
  private var training: Set<String> {
    switch self {
    case .lora:
      [
        "fan_in_fan_out", "lora_dropout", "init_lora_weights", "loftq_config", "eva_config", "corda_config",
        "lora_ga_config", "megatron_config", "megatron_core", "runtime_config", "qalora_group_size",
        "ensure_weight_tying",
      ]
    case .lokr:
      [
        "rank_dropout", "module_dropout", "rank_dropout_scale", "init_weights", "decompose_both", "decompose_factor",
        "use_effective_conv2d",
      ]
    case .ia3: ["fan_in_fan_out", "init_ia3_weights"]
    case .normTuning: []
    case .prefixTuning: ["prefix_projection", "encoder_hidden_size", "init_weights"]
    case .promptTuning:
      ["prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"]
    case .promptEncoder:
      [
        "encoder_reparameterization_type", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout",
      ]
    }
  }

  private static let refusedOfLoRA = [
    "use_dora": "DoRA, which scales each row of the changed matrix to a length of its own, is not supported",
    "use_qalora": "QALoRA, which pools the inputs of a LoRA, is not supported",
    "use_bdlora": "block-diagonal LoRA is not supported",
    "layer_replication": "models with repeated layers are not supported",
    "trainable_token_indices": "rows of the embedding trained with a LoRA are not supported",
    "target_parameters": "LoRA on parameters that are no linear's is not supported",
    "alora_invocation_tokens": "activated LoRA, which begins to act behind certain tokens, is not supported",
    "arrow_config": "a LoRA that routes among others is not supported",
  ]

  private static let changingInitializations = ["pissa", "olora", "corda", "loftq", "lora_ga"]
}
