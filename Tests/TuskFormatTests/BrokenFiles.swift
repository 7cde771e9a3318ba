@testable import TuskFormat

/// The smallest file for each way a file can be wrong.
struct BrokenFile: Sendable {
  let name: String
  let error: FormatError
  /// Found by opening, or only by verifying.
  let isFoundByOpening: Bool
  let bytes: [UInt8]

  init(
    _ kind: FormatError.Kind, at offset: Int, _ found: UInt64, _ required: UInt64, verify: Bool = false,
    _ file: PatchedFile
  ) {
    name = "\(kind)"
    error = FormatError(kind, at: offset, found: found, required: required)
    isFoundByOpening = !verify
    bytes = file.bytes
  }

  /// One per `FormatError.Kind`, but for the two that are about the path.
  static func all() throws -> [BrokenFile] { containers() + (try backbones()) + (try tasks()) }

  private static func containers() -> [BrokenFile] {
    let empty = PatchedFile(kind: .backbone, sections: [])
    func one(_ kind: UInt16, _ flags: UInt16, _ offset: UInt64 = 128, _ byteCount: UInt64 = 1) -> PatchedFile {
      PatchedFile(kind: .backbone, sections: [(kind, flags, offset, byteCount)])
    }
    return [
      BrokenFile(.truncatedHeader, at: 0, 0, 64, PatchedFile([])),
      BrokenFile(.wrongMagic, at: 0, 0x6B73_7574_2074_6F6E, Container.magic, PatchedFile(Array("not tusk".utf8))),
      BrokenFile(.unsupportedVersion, at: 8, 2, 1, empty.setting(8, to: UInt16(2))),
      BrokenFile(.invalidField, at: 12, 9, 3, empty.setting(12, to: UInt32(9))),
      BrokenFile(.wrongFileLength, at: 16, 64, 65, empty.setting(16, to: UInt64(65))),
      BrokenFile(.wrongTableOffset, at: 24, 96, 64, empty.setting(24, to: UInt64(96))),
      BrokenFile(.reservedNotZero, at: 36, 1, 0, empty.setting(32, to: UInt64(1) << 32 | 1)),
      BrokenFile(.truncatedTable, at: 64, 64, 96, empty.setting(32, to: UInt32(1))),
      BrokenFile(
        .indexChecksumMismatch, at: 60, 0, UInt64(one(1, 1).word(60)), one(1, 1).setting(60, to: UInt32(0))),
      BrokenFile(.unknownRequiredSection, at: 64, 99, 0, one(99, 1)),
      BrokenFile(.wrongSectionFlags, at: 66, 0, 1, one(1, 0)),
      BrokenFile(.wrongSectionOrder, at: 64, 5, 0, one(5, 1)),
      BrokenFile(.wrongSectionOffset, at: 80, 64, 128, one(1, 1, 64)),
      BrokenFile(.wrongSectionLength, at: 88, 0, 1, one(1, 1, 128, 0)),
      BrokenFile(.missingSection, at: 64, 0, 2, one(1, 1).extended(by: 33)),
    ]
  }

  private static func backbones() throws -> [BrokenFile] {
    let whole = PatchedFile(try NanoFiles.backboneBytes())
    let index = whole.offset(of: .tensorIndex)
    let config = whole.offset(of: .config)
    let weights = whole.offset(of: .weights)
    let fingerprint = NanoFiles.fingerprint(whole.bytes)
    let nan = UInt64(Float.nan.bitPattern)
    let norm = weights + 64 * 5 + 64
    return [
      BrokenFile(.wrongTensor, at: index, 7, 1, whole.setting(index, to: UInt16(7)).resigned),
      BrokenFile(.wrongTensorEncoding, at: index + 3, 1, 2, whole.setting(index + 3, to: UInt8(1)).resigned),
      BrokenFile(.wrongTensorShape, at: index + 8, 6, 5, whole.setting(index + 8, to: UInt32(6)).resigned),
      BrokenFile(.wrongTensorPlace, at: index + 24, 64, 0, whole.setting(index + 24, to: UInt64(64)).resigned),
      BrokenFile(.fingerprintMismatch, at: index, 1, fingerprint, whole.setting(config, to: UInt64(1)).resigned),
      BrokenFile(
        .checksumMismatch, at: weights, UInt64(whole.setting(weights, to: UInt8(1)).resigned.sectionChecksum(.weights)),
        UInt64(whole.sectionChecksum(.weights)), verify: true, whole.setting(weights, to: UInt8(1))),
      BrokenFile(
        .paddingNotZero, at: weights + 4, 1, 0, verify: true, whole.setting(weights + 4, to: UInt8(1)).resigned),
      BrokenFile(
        .invalidCode, at: weights, 0x80, 0x81, verify: true, whole.setting(weights, to: UInt8(0x80)).resigned),
      BrokenFile(
        .valueNotFinite, at: norm, nan, 0, verify: true, whole.setting(norm, to: UInt32(nan)).resigned),
    ]
  }

  private static func tasks() throws -> [BrokenFile] {
    let backbone = try NanoFiles.open(NanoFiles.backboneBytes())
    let config = backbone.config!
    let section = NanoFiles.taskSection(config)
    let whole = PatchedFile(try NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
    let withoutNorm = NanoFiles.taskSection(config, hasNorm: false)
    let adapterOnly = PatchedFile(
      try NanoFiles.written { try TaskWriter.write(withoutNorm, provenance: nil, path: $0) })
    let start = whole.offset(of: .task)
    let slots = start + 96 + 8
    let attachments = slots + 16 * config.slots.count
    let linears = attachments + 64
    func bundle(_ other: BackboneConfig) throws -> PatchedFile {
      let task = try NanoFiles.open(
        NanoFiles.written { try TaskWriter.write(NanoFiles.taskSection(other), provenance: nil, path: $0) })
      return PatchedFile(
        try NanoFiles.written { try TaskWriter.writeBundle(backbone, tasks: [task.task(at: 0)], path: $0) })
    }
    var stranger = config
    stranger.fingerprint = 1
    var deeper = config
    deeper.layerCount = 2
    let otherBackbone = try bundle(stranger)
    let otherShape = try bundle(deeper)
    let count = UInt64(section.count)
    return [
      BrokenFile(
        .wrongTableLength, at: start + 32, 1 << 30, count, whole.setting(start + 32, to: UInt32(1 << 30)).resigned),
      BrokenFile(
        .invalidReference, at: attachments + 24, 9, 0, whole.setting(attachments + 24, to: UInt32(9)).resigned),
      BrokenFile(
        .unusedEntry, at: start + 32, 1, 0,
        adapterOnly.setting(slots + 20, to: UInt32(0)).resettingLaterSlots(slots, config).resigned),
      BrokenFile(.wrongWidth, at: linears, 6, 4, whole.setting(linears, to: UInt32(6)).resigned),
      BrokenFile(.invalidName, at: start + 96, 0x0A, 0, whole.setting(start + 96, to: UInt8(0x0A)).resigned),
      BrokenFile(
        .taskOfOtherBackbone, at: otherBackbone.offset(of: .task), 1, config.fingerprint, otherBackbone),
      BrokenFile(.taskOfOtherShape, at: otherShape.offset(of: .task) + 12, 2, 1, otherShape),
    ]
  }
}

extension PatchedFile {
  /// The stored checksum of the first section of `kind`.
  func sectionChecksum(_ kind: SectionKind) -> UInt32 {
    for entry in 0..<word(32) where bytes[64 + 32 * entry] == UInt8(kind.rawValue) {
      return UInt32(word(64 + 32 * entry + 8))
    }
    preconditionFailure("no such section")
  }

  /// Without an attachment in the second slot, the later ones begin at attachment 0.
  fileprivate func resettingLaterSlots(_ slots: Int, _ config: BackboneConfig) -> PatchedFile {
    var copy = self
    for slot in 2..<config.slots.count { copy = copy.setting(slots + 16 * slot, to: UInt32(0)) }
    return copy
  }
}
