import TuskEngine
import TuskFormat

/// What the attachments of one kind cost: the members of `formats/json.md`.
struct AttachmentReport: Encodable {
  let kind: String
  let count: Int
  /// The products of the backbone that are changed; nil for other kinds.
  let targets: [String]?
  /// Positions of a prompt, or of the longest prefix; nil for other kinds.
  let tokens: Int?
  let encoderMultiplyAdds, encoderDenseMultiplyAdds: UInt64
  let decoderMultiplyAdds, decoderDenseMultiplyAdds: UInt64

  /// - Parameter task: whose cost it is.
  init(_ cost: TaskCost, of task: TaskSection) {
    kind = "\(cost.kind)"
    count = cost.attachmentCount
    var changed: Set<ProductTarget> = []
    var lengths: [String: Int] = [:]
    for position in 0..<task.attachmentCount {
      switch task.attachment(at: position) {
      case .adapter: break
      case .product(let product): changed.insert(product.target)
      case .prefix(let prefix): lengths["prefix"] = max(prefix.tokenCount, lengths["prefix"] ?? 0)
      case .prompt(let prompt): lengths["prompt"] = prompt.tokenCount
      }
    }
    targets = kind == "product" ? ProductTarget.allCases.filter(changed.contains).map { "\($0.name)" } : nil
    tokens = lengths[kind]
    encoderMultiplyAdds = cost.encoder.factored
    encoderDenseMultiplyAdds = cost.encoder.dense
    decoderMultiplyAdds = cost.decoder.factored
    decoderDenseMultiplyAdds = cost.decoder.dense
  }

  /// One line for people.
  var line: String {
    let stacks = [
      ("source", encoderMultiplyAdds, encoderDenseMultiplyAdds),
      ("target", decoderMultiplyAdds, decoderDenseMultiplyAdds),
    ].filter { $0.1 > 0 }
    var name = kind == "prefix" && count != 1 ? "\(count.grouped) prefixes" : count.counted(kind)
    if let targets { name += " (\(targets.joined(separator: ", ")))" }
    if let tokens { name += " of \(tokens.counted("token"))" }
    if kind == "prompt" { return name + ", which the backbone encodes with every source" }
    return name + ": "
      + (stacks.isEmpty
        ? "no multiply-adds"
        : stacks.map { "\(Int($1).grouped) multiply-adds per \($0) token (as matrices \(Int($2).grouped))" }
          .joined(separator: ", "))
  }
}
