import TuskEngine
import TuskFormat

/// What the attachments of one kind cost: the members of `formats/json.md`.
struct AttachmentReport: Encodable {
  let kind: String
  let count: Int
  let encoderMultiplyAdds, encoderDenseMultiplyAdds: UInt64
  let decoderMultiplyAdds, decoderDenseMultiplyAdds: UInt64

  init(_ cost: TaskCost) {
    kind = "\(cost.kind)"
    count = cost.attachmentCount
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
    return count.counted(kind) + ": "
      + (stacks.isEmpty
        ? "no multiply-adds"
        : stacks.map { "\(Int($1).grouped) multiply-adds per \($0) token (as matrices \(Int($2).grouped))" }
          .joined(separator: ", "))
  }
}
