import CTuskSystem
import TuskFormat

/// All memory of a session: one allocation, made once.
final class Arena {
  private let base: UnsafeMutableRawPointer
  let byteCount: Int

  /// Pages are touched only as they are used, so an arena costs what a run needs of it.
  /// - Throws: `outOfMemory`.
  init(byteCount: Int) throws(EngineError) {
    guard let base = tusk_reserve_memory(byteCount) else { throw EngineError(.outOfMemory, required: byteCount) }
    self.base = base
    self.byteCount = byteCount
  }

  deinit { tusk_release_memory(base, byteCount) }

  func floats(_ region: Region) -> UnsafeMutablePointer<Float> { pointer(region, to: Float.self) }

  func pointer<Element: BitwiseCopyable>(_ region: Region, to type: Element.Type) -> UnsafeMutablePointer<Element> {
    precondition(region.offset + region.byteCount <= byteCount, "region outside the arena")
    return (base + region.offset).assumingMemoryBound(to: type)
  }
}
