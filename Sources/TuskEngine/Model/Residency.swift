import CTuskSystem
import TuskFormat

/// Which blocks of the decoder stay in memory when the file does not fit.
///
/// Every token reads all blocks in order, and the kernel drops what was read longest ago: with a little less memory than
/// the weights take, every page is gone when its turn comes. So when steps read more from the device than they have to,
/// the last blocks are given back right after use, one more after each such step, and the others stay; after a while
/// without, one less. The next block is announced while one computes. Without reading, none of this happens.
struct Residency {
  /// Blocks that are given back: the last ones.
  private var releasedCount = 0
  private var readBefore: UInt64 = 0
  /// Steps in a row that read more than they had to, and steps since that did not. One alone is the file's first reading.
  private var excessSteps = 0
  private var quietSteps = 0

  /// Less is chance: pages of a task, of the program.
  private static let noticedBytes = 1 << 20
  private static let patience = 16

  private var isShort: Bool { releasedCount > 0 || excessSteps > 0 }

  /// - Parameters:
  ///   - isFirst: whether this is the first step of a target; what was read before is not a step's.
  ///   - blockCount: blocks of the decoder.
  ///   - blockBytes: of one.
  mutating func beginStep(isFirst: Bool, blockCount: Int, blockBytes: Int) {
    let read = tusk_bytes_read()
    let excess = Int(clamping: read - readBefore) - releasedCount * blockBytes
    readBefore = read
    if isFirst { return }
    if excess > Self.noticedBytes {
      excessSteps += 1
      quietSteps = 0
      if excessSteps > 1 { releasedCount = min(releasedCount + max(1, excess / (4 * blockBytes)), blockCount) }
      return
    }
    excessSteps = 0
    quietSteps += 1
    if quietSteps >= Self.patience && releasedCount > 0 {
      releasedCount -= 1
      quietSteps = 0
      // The next excess gives it back at once.
      excessSteps = 1
    }
  }

  func beginBlock(_ layer: Int, _ weights: BackboneWeights) {
    guard isShort, layer + 1 < weights.config.decoderLayerCount else { return }
    weights.decoderBlock(layer + 1) { tusk_expect_pages($0, $1) }
  }

  func endBlock(_ layer: Int, _ weights: BackboneWeights) {
    guard isShort, layer >= weights.config.decoderLayerCount - releasedCount else { return }
    weights.decoderBlock(layer) { tusk_release_pages($0, $1) }
  }
}

extension BackboneWeights {
  /// All bytes of block `layer` of the decoder.
  fileprivate func decoderBlock(_ layer: Int, _ body: (UnsafeRawPointer, Int) -> Void) {
    let bytes = file.weights(group: 1 + config.layerCount + layer)
    body(bytes.address, bytes.count)
  }
}
