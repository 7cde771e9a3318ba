import TuskFormat

/// Bottleneck adapters of the `adapters` library.
struct BottleneckTask {
  let configuration: BottleneckConfiguration
  /// Whose names the tensors have.
  let family: ModelFamily
  /// What the tensors' names call the adapter.
  let name: String

  private var sharedPrefix: String { "shared_parameters.\(name)." }

  /// - Throws: `.lostRule` when the adapters share a rule that was not saved with them.
  func requireRule(in names: some Sequence<String>, file: String) throws(ConversionError) {
    guard let kronecker = configuration.kronecker, kronecker.sharesRule else { return }
    let rule = sharedPrefix + (kronecker.hasFactorizedRule ? "phm_rule_left" : "phm_rule")
    guard !names.contains(where: { family.canonical($0).hasSuffix(rule) }) else { return }
    throw ConversionError(
      .lostRule, file: file, subject: rule,
      """
      the rule that all layers share (shared_phm_rule) is not in the file, and without it the adapter computes nothing: \
      adapters before 1.2.0 never saved it, later ones do not save it from classes whose names have no prefix \
      (T5ForConditionalGeneration, T5Model, BertModel), and loading such a file puts random numbers in its place. Where \
      the trained model still exists, save it again: with adapters 1.2.0 or later from T5AdapterModel, or the whole \
      model with model.save_pretrained, which keeps \(rule), and convert that directory
      """)
  }

  /// Puts every adapter the configuration asks for into `assembly`.
  func assemble(_ assembly: inout TaskAssembly, config: BackboneConfig) throws(ConversionError) {
    let sites = AdapterSite.all(in: config, leavingOut: configuration.leftOut)
      .filter { configuration.subLayers.contains($0.subLayer) }
    if configuration.hasGate, sites.contains(where: { $0.stack == .decoder }) {
      throw ConversionError(
        .unsupported, file: assembly.ledger.directory, subject: "use_gating",
        "gated adapters are not supported in a decoder: the gate averages over all positions of a text, of which it knows "
          + "only the first")
    }
    for site in sites {
      let layer = (site.stack == .encoder ? 0 : config.layerCount) + site.layer
      let width = try configuration.bottleneckWidth(dModel: config.dModel, layer: layer)
      try addAdapter(at: site, dModel: config.dModel, width: width, to: &assembly)
    }
  }

  /// A norm before the adapter is a module of its own and also the first of the down-projection's sequence, so its
  /// tensors are stored twice and the projection moves on by one.
  private func addAdapter(
    at site: AdapterSite, dModel: Int, width: Int, to assembly: inout TaskAssembly
  ) throws(ConversionError) {
    let prefix = family.prefix(of: site) + "adapters.\(name)."
    let down = prefix + "adapter_down.\(configuration.hasNormBefore ? 1 : 0)."
    try assembly.addAdapter(
      at: site, configuration.rules, down: linear(dModel, width, down, direction: "W_down"),
      up: linear(width, dModel, prefix + "adapter_up.", direction: "W_up"),
      normBefore: configuration.hasNormBefore ? prefix + "adapter_norm_before." : nil,
      normBeforeCopy: prefix + "adapter_down.0.",
      normAfter: configuration.hasNormAfter ? prefix + "adapter_norm_after." : nil, scalingName: prefix + "scaling",
      gate: configuration.hasGate ? prefix + "gate." : nil)
  }

  private func linear(_ inWidth: Int, _ outWidth: Int, _ prefix: String, direction: String) -> LinearSource {
    guard let kronecker = configuration.kronecker else {
      return LinearSource(
        form: .dense, inWidth: inWidth, outWidth: outWidth, hasBias: true, prefix: prefix, sharedRulePrefix: nil,
        sharedWeight: nil)
    }
    return LinearSource(
      form: .kronecker(
        phmDim: kronecker.phmDim, rank: kronecker.rank, hasFactorizedRule: kronecker.hasFactorizedRule),
      inWidth: inWidth, outWidth: outWidth, hasBias: kronecker.hasBias, prefix: prefix,
      sharedRulePrefix: kronecker.sharesRule ? sharedPrefix : nil,
      sharedWeight: kronecker.sharesWeights ? sharedPrefix + direction : nil)
  }
}
