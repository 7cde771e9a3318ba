import TuskFormat

/// A task in the names of the Compacter authors' code.
///
/// `config.json` says nothing of the adapter. What `training_config.json` does not say either is read from the tensors,
/// except the activation, which leaves no trace there.
struct AuthorsTask {
  /// Key of the adapter in the names of its tensors.
  let name: String
  private let training: Settings
  private let sites: [AdapterSite]
  private let form: LinearSource.Form
  private let width: Int
  private let activation: Activation
  private let hasNormBefore: Bool
  private let hasNormAfter: Bool
  private let sharedRulePrefix: String?
  private let sharesWeights: Bool

  private static let controller = ".adapter_controller."

  init(_ ledger: TensorLedger, training: Settings, config: BackboneConfig) throws(ConversionError) {
    self.training = training
    name = try Self.adapterName(ledger)
    let marker = "adapter_controller.adapters.\(name)."
    sites = try Self.sites(ledger, training, config, marker: marker)
    guard let first = sites.first else { throw Self.noAdapter(ledger.directory) }
    let down = first.t5Prefix + marker + "down_sampler."
    guard let bias = ledger[down + "b"] ?? ledger[down + "bias"] else {
      throw ConversionError(
        .missingTensor, file: ledger.directory, subject: down + "b", "found no bias; the authors' adapters have one")
    }
    guard bias.shape.count == 1, (1...1_048_576).contains(bias.elementCount) else {
      throw ConversionError(
        .misshapenTensor, file: bias.sourceFile, subject: bias.name,
        "found shape \(bias.shape); a vector of at most 1048576 numbers is required")
    }
    width = bias.elementCount
    sharesWeights = ledger["W_down_left"] != nil || ledger["W_down"] != nil
    form = try Self.form(ledger, down: down)
    sharedRulePrefix = try Self.sharedRulePrefix(ledger, training, form, down: down)
    let activationName = try training.optionalText("non_linearity") ?? "swish"
    guard let activation = Activation(transformersName: activationName) else {
      throw training.error("non_linearity", required: Activation.supportedNames)
    }
    self.activation = activation
    let norms = first.t5Prefix + "adapter_controller."
    hasNormBefore =
      try training.optionalBool("add_layer_norm_before_adapter") ?? (ledger[norms + "pre_layer_norm.weight"] != nil)
    hasNormAfter =
      try training.optionalBool("add_layer_norm_after_adapter") ?? (ledger[norms + "post_layer_norm.weight"] != nil)
    try requireAgreement(dModel: config.dModel)
  }

  /// Puts every adapter into `assembly`.
  func assemble(_ assembly: inout TaskAssembly, dModel: Int) throws(ConversionError) {
    let rules = AdapterRules(
      activation: activation, inputRule: .subLayer, skipRule: .subLayer, addsStream: true, scaling: .constant(1))
    for site in sites {
      let norms = site.t5Prefix + "adapter_controller."
      let prefix = norms + "adapters.\(name)."
      try assembly.addAdapter(
        at: site, rules, down: linear(dModel, width, prefix + "down_sampler.", shared: "W_down"),
        up: linear(width, dModel, prefix + "up_sampler.", shared: "W_up"),
        normBefore: hasNormBefore ? norms + "pre_layer_norm." : nil,
        normAfter: hasNormAfter ? norms + "post_layer_norm." : nil, scalingName: "")
    }
  }

  private func linear(_ inWidth: Int, _ outWidth: Int, _ prefix: String, shared: String) -> LinearSource {
    LinearSource(
      form: form, inWidth: inWidth, outWidth: outWidth, hasBias: true, prefix: prefix,
      sharedRulePrefix: sharedRulePrefix, sharedWeight: sharesWeights ? shared : nil)
  }

  private static func noAdapter(_ directory: String) -> ConversionError {
    ConversionError(.missingTensor, file: directory, "found no adapter in the checkpoint")
  }

  private static func adapterName(_ ledger: TensorLedger) throws(ConversionError) -> String {
    let marker = controller + "adapters."
    var names: Set<String> = []
    for tensor in ledger.names {
      guard let range = tensor.firstRange(of: marker) else { continue }
      names.insert(String(tensor[range.upperBound...].prefix { $0 != "." }))
    }
    guard names.count <= 1 else {
      throw ConversionError(
        .unsupported, file: ledger.directory,
        "found adapters of \(names.count) tasks (\(names.sorted().joined(separator: ", ").printable)); one is required")
    }
    guard let name = names.first else { throw noAdapter(ledger.directory) }
    return name
  }

  /// Which sub-layers have an adapter is what the settings say, else whether any block of the stack has one; then every
  /// block that the settings list, else every block, must.
  private static func sites(
    _ ledger: TensorLedger, _ training: Settings, _ config: BackboneConfig, marker: String
  ) throws(ConversionError) -> [AdapterSite] {
    let inDecoder = try training.bool("task_adapter_in_decoder", default: true)
    var sites: [AdapterSite] = []
    for (stack, count, list) in [
      (Stack.encoder, config.layerCount, "task_adapter_layers_encoder"),
      (.decoder, inDecoder ? config.decoderLayerCount : 0, "task_adapter_layers_decoder"),
    ] {
      let listed = try training.optionalIntegers(list)
      for (subLayer, key) in [
        (SubLayer.selfAttention, "add_adapter_in_self_attention"), (.feedForward, "add_adapter_in_feed_forward"),
      ] {
        let possible = (0..<count).map { AdapterSite(stack: stack, subLayer: subLayer, layer: $0) }
        let isThere = possible.contains { site in ledger.names.contains { $0.hasPrefix(site.t5Prefix + marker) } }
        guard try training.optionalBool(key) ?? isThere else { continue }
        sites += possible.filter { listed?.contains($0.layer) ?? true }
      }
    }
    return sites
  }

  private static func form(_ ledger: TensorLedger, down: String) throws(ConversionError) -> LinearSource.Form {
    if ledger[down + "weight"] != nil { return .dense }
    let left = ledger["W_down_left"] ?? ledger[down + "W_left"]
    if let left, left.shape.count == 2 { return .rankOne }
    guard let weight = left ?? ledger["W_down"] ?? ledger[down + "W"], weight.shape.count == 3 else {
      throw ConversionError(
        .missingTensor, file: ledger.directory, subject: down + "W_left",
        "found neither W_left, W nor weight of an adapter's projection in the shape of a known kind")
    }
    let isFactorized = ledger["phm_rule_left"] != nil || ledger[down + "phm_rule_left"] != nil
    guard (1...256).contains(weight.shape[0]), (1...65_536).contains(weight.shape[2]) else {
      throw ConversionError(
        .misshapenTensor, file: weight.sourceFile, subject: weight.name,
        "found shape \(weight.shape); 1 to 256 terms of rank 1 to 65536 are required")
    }
    return .kronecker(
      phmDim: weight.shape[0], rank: left == nil ? nil : weight.shape[2], hasFactorizedRule: isFactorized)
  }

  private static func sharedRulePrefix(
    _ ledger: TensorLedger, _ training: Settings, _ form: LinearSource.Form, down: String
  ) throws(ConversionError) -> String? {
    guard case .kronecker(_, _, let isFactorized) = form else { return nil }
    let rule = isFactorized ? "phm_rule_left" : "phm_rule"
    let said = try training.optionalBool("shared_phm_rule")
    if ledger[rule] != nil {
      guard said != false else { throw training.error("shared_phm_rule", required: "true, as the checkpoint says,") }
      return ""
    }
    guard ledger[down + rule] != nil else {
      throw ConversionError(
        .lostRule, file: ledger.directory, subject: rule,
        "the rule of the adapter's layers is not in the checkpoint, and without it the adapter computes nothing")
    }
    return said == true ? down : nil
  }

  /// What the settings say must be what the tensors show.
  private func requireAgreement(dModel: Int) throws(ConversionError) {
    var isKronecker = false
    var isRankOne = false
    var numbers: [(String, Int)] = []
    switch form {
    case .kronecker(let n, let rank, let isFactorized):
      isKronecker = true
      guard dModel % n == 0, width % n == 0 else {
        throw ConversionError(
          .badSetting, file: training.file, subject: "hypercomplex_division",
          "\(n) terms do not divide both the model's width \(dModel) and the bottleneck's \(width)")
      }
      numbers = [("hypercomplex_division", n)] + (rank.map { [("phm_rank", $0)] } ?? [])
      try require("factorized_phm", rank != nil)
      try require("factorized_phm_rule", isFactorized)
      try require("shared_W_phm", sharesWeights)
    case .rankOne:
      isRankOne = true
      numbers = [("low_rank_rank", 1)]
    case .dense: break
    }
    try require("hypercomplex_adapters", isKronecker)
    try require("low_rank_adapters", isRankOne)
    for (key, found) in numbers {
      guard try training.optionalInteger(key) ?? found == found else {
        throw training.error(key, required: "\(found), as the checkpoint's tensors show,")
      }
    }
    if let factor = try training.optionalInteger("task_reduction_factor"), factor < 1 || dModel / factor != width {
      throw training.error("task_reduction_factor", required: "a factor between \(dModel) and \(width)")
    }
  }

  private func require(_ key: String, _ found: Bool) throws(ConversionError) {
    guard try training.optionalBool(key) ?? found == found else {
      throw training.error(key, required: "\(found), as the checkpoint's tensors show,")
    }
  }
}
