/// Writes task files and bundles.
public enum TaskWriter {
  /// Writes a task file.
  /// - Parameter section: what `TaskBuilder.sectionBytes` returned.
  public static func write(
    _ section: [UInt8], provenance: [UInt8]?, path: UnsafePointer<CChar>
  ) throws(WriteError) {
    var sections: [SectionPlan] = []
    if let provenance { sections.append(SectionPlan(.provenance, byteCount: provenance.count)) }
    sections.append(SectionPlan(.task, byteCount: section.count))
    let writer = try PackedWriter(path: path, kind: .task, sections: sections)
    if let provenance { try writer.append(provenance, to: 0) }
    try writer.append(section, to: sections.count - 1)
    try writer.finish()
  }

  /// Writes one file with the backbone of `backbone` and `tasks`, which must fit it.
  /// - Precondition: `backbone` has a configuration; there is at least one task.
  public static func writeBundle(
    _ backbone: PackedFile, tasks: [TaskSection], path: UnsafePointer<CChar>
  ) throws(WriteError) {
    precondition(backbone.config != nil && !tasks.isEmpty, "a bundle is a backbone with tasks")
    var parts: [(plan: SectionPlan, bytes: MappedBytes)] = []
    for position in 0..<backbone.sectionCount {
      let entry = backbone.section(at: position)
      guard let kind = entry.kind, kind != .task else { continue }
      parts.append(
        (SectionPlan(kind, ordinal: entry.ordinal, byteCount: entry.byteCount), backbone.mapping.bytes.slice(entry)))
    }
    for (ordinal, task) in tasks.enumerated() {
      parts.append((SectionPlan(.task, ordinal: ordinal, byteCount: task.bytes.count), task.bytes))
    }
    let writer = try PackedWriter(path: path, kind: .bundle, sections: parts.map { $0.plan })
    for (position, part) in parts.enumerated() {
      var rest = part.bytes
      while rest.count > 0 {
        let count = min(rest.count, 1 << 20)
        try writer.append(UnsafeRawBufferPointer(start: rest.address, count: count), to: position)
        rest = rest.slice(count..<rest.count)
      }
    }
    try writer.finish()
  }
}
