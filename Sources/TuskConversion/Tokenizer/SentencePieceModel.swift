import TuskTokenizer

/// Reads `spiece.model`, SentencePiece's protobuf.
enum SentencePieceModel {
  private static let subject = "spiece.model"

  /// The numbers of the fields that are read; all others are skipped.
  private enum ModelField {
    static let pieces = 1
    static let trainerSpec = 2
    static let normalizerSpec = 3
    static let denormalizerSpec = 5
  }

  /// - Throws: `TokenizerBuilderError` where the bytes are no Unigram model the section can express.
  static func vocabulary(_ bytes: [UInt8]) throws(TokenizerBuilderError) -> UnigramVocabulary {
    var vocabulary = UnigramVocabulary()
    var reader = WireReader(bytes, 0..<bytes.count, subject: subject)
    while let field = try reader.next() {
      guard case .bytes(let range) = field.value else { continue }
      switch field.number {
      case ModelField.pieces:
        vocabulary.pieces.append(try piece(bytes, range, id: vocabulary.pieces.count))
      case ModelField.trainerSpec:
        try readTrainerSpec(bytes, range, into: &vocabulary)
      case ModelField.normalizerSpec:
        try readNormalizerSpec(bytes, range, into: &vocabulary)
      case ModelField.denormalizerSpec:
        var denormalizer = UnigramVocabulary()
        try readNormalizerSpec(bytes, range, into: &denormalizer)
        guard denormalizer.characterMap.isEmpty else {
          throw TokenizerBuilderError(subject, at: field.offset, "a denormalizer found, none is supported")
        }
      default: break
      }
    }
    let unknown = vocabulary.pieces.indices.filter { vocabulary.pieces[$0].type == .unknown }
    guard unknown.count == 1 else {
      throw TokenizerBuilderError(subject, "\(unknown.count) unknown pieces found, exactly 1 required")
    }
    vocabulary.unknownId = unknown[0]
    return vocabulary
  }

  private static func piece(
    _ bytes: [UInt8], _ range: Range<Int>, id: Int
  ) throws(TokenizerBuilderError) -> UnigramVocabulary.Piece {
    var piece = UnigramVocabulary.Piece(text: [], score: 0, type: .normal)
    var reader = WireReader(bytes, range, subject: subject)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let text)): piece.text = [UInt8](bytes[text])
      case (2, .fixed32(let bits)): piece.score = Float(bitPattern: bits)
      case (3, .varint(let value)):
        guard let type = UInt8(exactly: value).flatMap(UnigramLayout.PieceType.init(rawValue:)), type != .added else {
          throw TokenizerBuilderError(subject, at: field.offset, "piece \(id) has type \(value), 1 ... 5 required")
        }
        piece.type = type
      default: break
      }
    }
    guard !piece.text.isEmpty else {
      throw TokenizerBuilderError(subject, at: range.lowerBound, "piece \(id) is empty")
    }
    return piece
  }

  private static func readTrainerSpec(
    _ bytes: [UInt8], _ range: Range<Int>, into vocabulary: inout UnigramVocabulary
  ) throws(TokenizerBuilderError) {
    var reader = WireReader(bytes, range, subject: subject)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (3, .varint(let type)) where type != 1:
        throw TokenizerBuilderError(subject, at: field.offset, "model type \(type) found, 1 (Unigram) required")
      case (24, .varint(1...)):
        throw TokenizerBuilderError(subject, at: field.offset, "treat_whitespace_as_suffix found, not supported")
      case (35, .varint(1...)):
        throw TokenizerBuilderError(subject, at: field.offset, "byte_fallback found, not supported")
      case (44, .bytes(let text)): vocabulary.unknownText = [UInt8](bytes[text])
      default: break
      }
    }
  }

  private static func readNormalizerSpec(
    _ bytes: [UInt8], _ range: Range<Int>, into vocabulary: inout UnigramVocabulary
  ) throws(TokenizerBuilderError) {
    var reader = WireReader(bytes, range, subject: subject)
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (2, .bytes(let map)): vocabulary.characterMap = [UInt8](bytes[map])
      case (3, .varint(let value)): vocabulary.addsDummyPrefix = value != 0
      case (4, .varint(let value)): vocabulary.removesExtraWhitespaces = value != 0
      case (5, .varint(let value)): vocabulary.escapesWhitespaces = value != 0
      default: break
      }
    }
  }
}
