/// An open Tusk file: a backbone, a task, or a bundle of both.
///
/// Opening proves everything the engine relies on, so nothing is checked later: header, table, configuration, tensor
/// index, task tables. It reads those few pages, touches no weight and allocates nothing that grows with the model.
/// `verify` checks the rest: checksums, padding, codes.
/// - Source: `formats/packed-file.md`
public final class PackedFile: Sendable {
  public let mapping: Mapping
  public let kind: FileKind
  public let sectionCount: Int
  /// Number of tasks: 1 in a task file.
  public let taskCount: Int
  /// Position of the first task section in the table.
  private let firstTask: Int
  /// Position of `weights` section 0 in the table.
  private let firstWeights: Int
  private let storedConfig: BackboneConfig?
  private let index: MappedBytes?

  /// Opens the file at `path` (null-terminated UTF-8).
  /// - Throws: `FormatError` for anything that is not a Tusk file of this version.
  public convenience init(path: UnsafePointer<CChar>) throws(FormatError) {
    try self.init(Mapping(path: path))
  }

  public init(_ mapping: Mapping) throws(FormatError) {
    let file = mapping.bytes
    self.mapping = mapping
    let header = try Header(parsing: file)
    kind = header.kind
    sectionCount = header.sectionCount

    var scan = SectionScan(kind: header.kind, tableEnd: header.tableEnd)
    for position in 0..<header.sectionCount { try scan.take(at: position, of: file) }
    try scan.finish(fileBytes: file.count)
    taskCount = scan.count(.task)
    firstTask = scan.first(.task) ?? 0
    firstWeights = scan.first(.weights) ?? 0

    if header.kind == .task {
      storedConfig = nil
      index = nil
    } else {
      let config = try BackboneConfig(parsing: file.slice(Header.entry(at: scan.first(.config)!, of: file)))
      let tensorIndex = file.slice(Header.entry(at: scan.first(.tensorIndex)!, of: file))
      let weightsCount = scan.count(.weights)
      guard weightsCount == config.groupCount else {
        throw FormatError(
          .missingSection, at: Container.headerBytes, found: UInt64(weightsCount), required: UInt64(config.groupCount))
      }
      let firstWeights = firstWeights
      try TensorIndex.validate(tensorIndex, config: config) { group in
        Header.entry(at: firstWeights + group, of: file)
      }
      storedConfig = config
      index = tensorIndex
    }
    if let storedConfig, let position = scan.first(.head) {
      let head = TaskSection(file.slice(Header.entry(at: position, of: file)))
      try head.validate()
      try head.requireBackboneHead(of: storedConfig)
    }
    for position in 0..<taskCount {
      let task = TaskSection(file.slice(Header.entry(at: firstTask + position, of: file)))
      try task.validate()
      if let storedConfig { try task.requireFit(to: storedConfig) }
    }
  }

  /// The entry at `position` of the section table.
  public func section(at position: Int) -> SectionEntry {
    precondition(position >= 0 && position < sectionCount, "no such section")
    return Header.entry(at: position, of: mapping.bytes)
  }

  /// The bytes of the only section of `kind`, if there is one.
  public func section(_ kind: SectionKind) -> MappedBytes? {
    for position in 0..<sectionCount where section(at: position).rawKind == kind.rawValue {
      return mapping.bytes.slice(section(at: position))
    }
    return nil
  }

  /// The head the checkpoint itself has, if it has one: a task that is nothing but a head.
  public var head: TaskSection? { section(.head).map { TaskSection($0) } }

  /// The backbone's configuration; nil in a task file.
  public var config: BackboneConfig? { storedConfig }

  /// The tensor at `position` of the index.
  /// - Precondition: the file has a backbone with more tensors than that.
  public func tensor(at position: Int) -> Tensor {
    guard let storedConfig, let index else { preconditionFailure("a task file has no backbone") }
    let spec = storedConfig.tensorSpec(at: position)
    return tensor(spec, entry: position * TensorIndex.entryBytes, of: index, in: weights(group: spec.group))
  }

  /// All tensors in index order; none in a task file.
  package func forEachTensor(_ body: (Tensor) -> Void) {
    guard let storedConfig, let index else { return }
    var entry = 0
    var group = -1
    var section = mapping.bytes
    storedConfig.forEachTensor { spec in
      if spec.group != group {
        group = spec.group
        section = weights(group: group)
      }
      body(tensor(spec, entry: entry, of: index, in: section))
      entry += TensorIndex.entryBytes
    }
  }

  private func tensor(_ spec: TensorSpec, entry: Int, of index: MappedBytes, in section: MappedBytes) -> Tensor {
    let data = Int(index.load(entry + 24, as: UInt64.self))
    let scales = Int(index.load(entry + 40, as: UInt64.self))
    return Tensor(
      spec: spec, sourceChecksum: index.load(entry + 20), data: section.slice(data..<data + spec.dataByteCount),
      scales: section.slice(scales..<scales + spec.scalesByteCount))
  }

  /// The `weights` section of `group`, whose pages can be advised as one.
  public func weights(group: Int) -> MappedBytes {
    mapping.bytes.slice(section(at: firstWeights + group))
  }

  /// Task number `position` of the file.
  /// - Precondition: `position` is below `taskCount`.
  public func task(at position: Int) -> TaskSection {
    precondition(position >= 0 && position < taskCount, "no such task")
    return TaskSection(mapping.bytes.slice(section(at: firstTask + position)))
  }
}

extension MappedBytes {
  /// The bytes of a section whose place has been proven.
  package func slice(_ section: SectionEntry) -> MappedBytes {
    slice(section.offset..<section.offset + section.byteCount)
  }
}
