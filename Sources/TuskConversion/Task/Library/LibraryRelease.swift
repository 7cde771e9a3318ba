/// What earlier releases of the `adapters` library and of adapter-transformers wrote otherwise.
struct LibraryRelease {
  private let settings: Settings
  /// Releases 0.1 and 1.0 of `adapters` left alpha out of the scale of a LoRA, and so it was trained.
  private let scalesLoRAByOne: Bool

  init(_ settings: Settings) throws(ConversionError) {
    self.settings = settings
    let version = try settings.optionalText("version") ?? ""
    let prefix = "adapters."
    let numbers = version.dropFirst(prefix.count).split(separator: ".").prefix(2).map { Int($0) ?? 0 }
    scalesLoRAByOne = version.hasPrefix(prefix) && !numbers.isEmpty && numbers.lexicographicallyPrecedes([1, 1])
  }

  /// The adapter's settings as the present release reads them.
  func mended(_ adapter: Settings, _ tensorNames: [String]) -> Settings {
    var values = adapter.values
    if scalesLoRAByOne, values["architecture"] == .string("lora") { values["alpha"] = values["r"] }
    // A task's adapter of the first releases names an invertible adapter that only a language's has.
    if settings["type"] == .string("text_task"), !tensorNames.contains(where: { $0.contains("invertible") }) {
      values["inv_adapter"] = nil
      values["invertible_adapter"] = nil
    }
    return Settings(values, file: adapter.file)
  }

  /// What a tensor is called now.
  static func presentName(_ name: String) -> String {
    var name = name
    for place in ["attention", "layer"] {
      for kind in ["task", "lang"] { name = name.replacing("\(place)_text_\(kind)_adapters.", with: "adapters.") }
    }
    return name
  }
}
