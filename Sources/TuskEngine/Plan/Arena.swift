import CTuskSystem
import TuskFormat

/// All memory of a session: one allocation, made once, or the caller's.
package final class Arena {
  private let base: UnsafeMutableRawPointer
  private let isOwned: Bool
  package let byteCount: Int

  /// Pages are touched only as they are used, so an arena costs what a run needs of it.
  /// - Throws: `outOfMemory`.
  package init(byteCount: Int) throws(EngineError) {
    guard let base = tusk_reserve_memory(byteCount) else { throw EngineError(.outOfMemory, required: byteCount) }
    self.base = base
    self.byteCount = byteCount
    isOwned = true
  }

  /// The first `byteCount` bytes of `memory`, whatever they hold.
  /// - Throws: `memoryTooSmall`, `misalignedMemory`.
  init(byteCount: Int, in memory: UnsafeMutableRawBufferPointer) throws(EngineError) {
    guard memory.count >= byteCount, let base = memory.baseAddress else {
      throw EngineError(.memoryTooSmall, found: memory.count, required: byteCount)
    }
    let rest = Int(UInt(bitPattern: base) % UInt(MemoryPlan.alignment))
    guard rest == 0 else { throw EngineError(.misalignedMemory, found: rest) }
    self.base = base
    self.byteCount = byteCount
    isOwned = false
  }

  deinit {
    if isOwned { tusk_release_memory(base, byteCount) }
  }

  /// All of it.
  package var memory: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: byteCount) }

  package func floats(_ region: Region) -> UnsafeMutablePointer<Float> { pointer(region, to: Float.self) }

  package func pointer<Element: BitwiseCopyable>(_ region: Region, to type: Element.Type) -> UnsafeMutablePointer<
    Element
  > {
    precondition(region.offset + region.byteCount <= byteCount, "region outside the arena")
    return (base + region.offset).assumingMemoryBound(to: type)
  }
}

extension UnsafeMutablePointer where Pointee: BitwiseCopyable {
  /// `update(from:count:)` in one call of the C library; Embedded Swift makes that a call per element.
  func copy(from source: UnsafePointer<Pointee>, count: Int) {
    UnsafeMutableRawPointer(self).copyMemory(from: source, byteCount: count * MemoryLayout<Pointee>.stride)
  }
}
