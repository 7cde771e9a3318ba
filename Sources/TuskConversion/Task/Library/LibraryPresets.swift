/// Configurations that the library knows by name, for files that name one instead of spelling it out.
enum LibraryPresets {
  private static let parallel: [String: JSONValue] = [
    "mh_adapter": .bool(false), "output_adapter": .bool(true), "is_parallel": .bool(true), "scaling": .number(4),
    "non_linearity": .string("relu"), "reduction_factor": .integer(2),
  ]
  private static let prefix: [String: JSONValue] = [
    "architecture": .string("prefix_tuning"), "prefix_length": .integer(30), "bottleneck_size": .integer(512),
  ]
  private static let others: [String: [String: JSONValue]] = {
    let scaled = parallel.merging(["scaling": .string("learned")]) { $1 }
    return [
      "par_bn": parallel, "parallel": parallel, "scaled_par_bn": scaled, "scaled_parallel": scaled,
      "lora": [
        "architecture": .string("lora"), "r": .integer(8), "alpha": .integer(8),
        "attn_matrices": .array([.string("q"), .string("v")]),
      ],
      "ia3": [
        "architecture": .string("lora"), "r": .integer(1), "alpha": .integer(1), "composition_mode": .string("scale"),
        "attn_matrices": .array([.string("k"), .string("v")]), "intermediate_lora": .bool(true),
      ],
      "prefix_tuning": prefix, "prefix_tuning_flat": prefix,
      "prompt_tuning": ["architecture": .string("prompt_tuning"), "prompt_length": .integer(10)],
      "mam": [
        "architecture": .string("union"),
        "configs": .array([.object(prefix.merging(["bottleneck_size": .integer(800)]) { $1 }), .object(parallel)]),
      ],
    ]
  }()

  static func settings(_ name: String, file: String) throws(ConversionError) -> Settings {
    if let other = others[name] { return Settings(other, file: file) }
    let isDouble = name == "compacter" || name == "houlsby" || name == "double_seq_bn"
    let isCompacter = name == "compacter" || name == "compacter++"
    guard isDouble || isCompacter || name == "pfeiffer" || name == "seq_bn" else {
      throw ConversionError(
        .unsupported, file: file, subject: "config",
        "found '\(name.printable)'; compacter, compacter++, seq_bn (pfeiffer), double_seq_bn (houlsby), par_bn (parallel), "
          + "scaled_par_bn, lora, ia3, prefix_tuning, prefix_tuning_flat, prompt_tuning or mam is required")
    }
    let activation = isCompacter ? "gelu" : (isDouble ? "swish" : "relu")
    return Settings(
      [
        "mh_adapter": .bool(isDouble), "output_adapter": .bool(true), "original_ln_before": .bool(!isDouble),
        "non_linearity": .string(activation), "reduction_factor": .integer(isCompacter ? 32 : 16),
        "phm_layer": .bool(isCompacter),
      ], file: file)
  }
}
