import CTuskBackward
import CTuskSystem
import TuskEngine
import TuskFormat

/// Rates at which numbers are dropped while a task is trained, as the backbone's configuration has them.
public struct DropoutRates: Equatable, Sendable {
  /// Of embeddings, sub-layer outputs and, in T5, inside feed-forward.
  public var hidden: Float
  /// Of attention's probabilities.
  public var attention: Float
  /// Whether a sub-layer's adapter takes what dropout left, as in the `adapters` library, or dropout acts on what the
  /// adapter gives, as in the authors' code.
  public var precedesAdapter: Bool

  public static let none = DropoutRates(hidden: 0, attention: 0, precedesAdapter: true)

  public init(hidden: Float, attention: Float, precedesAdapter: Bool) {
    self.hidden = hidden
    self.attention = attention
    self.precedesAdapter = precedesAdapter
  }
}

/// The masks of one pass over packed examples. A mask is not stored: position and key decide it, so that the backward pass
/// and a repeated forward pass drop what the first dropped.
struct Dropout {
  let rates: DropoutRates
  /// Of the training run, and of the pass.
  var seed: UInt64 = 0
  var pass: UInt64 = 0

  init(rates: DropoutRates) { self.rates = rates }

  /// A place in the model where numbers are dropped.
  enum Place: UInt64 {
    case embeddings = 1
    case attention = 2
    case output = 3
    case activation = 4
    case end = 5
    case headInput = 6
    case headHidden = 7
  }

  func key(_ place: Place, slot: Int) -> UInt64 {
    // Far apart for every pass, place and slot; the kernel adds positions and mixes.
    let site = UInt64(slot) &* 8 &+ place.rawValue
    return (seed &* 0xD134_2543_DE82_EF95) ^ (pass &* 0x2545_F491_4F6C_DD1D) &+ (site << 44)
  }
}

extension TrainingModel {
  /// x [count] with some numbers dropped; the same on a gradient is its backward.
  func drop(_ x: UnsafeMutablePointer<Float>, count: Int, _ place: Dropout.Place, slot: Int) {
    guard dropout.rates.hidden > 0 else { return }
    let work = DropoutWork(
      model: self, x: x, count: count, key: dropout.key(place, slot: slot), rate: dropout.rates.hidden)
    pool.run((count + DropoutWork.elements - 1) / DropoutWork.elements, work)
  }
}

private struct DropoutWork: PieceWork {
  unowned(unsafe) let model: TrainingModel
  let x: UnsafeMutablePointer<Float>
  let count: Int
  let key: UInt64
  let rate: Float

  /// A multiple of 4: what a piece drops follows from where it begins.
  static let elements = 1 << 14
  static let body: tusk_pool_body = { context, piece, worker in
    context!.assumingMemoryBound(to: DropoutWork.self).pointee.run(piece, worker: Int(worker))
  }

  func run(_ piece: Int, worker: Int) {
    let first = piece * Self.elements
    model.back.dropout(x + first, min(Self.elements, count - first), key, UInt64(first), rate)
  }
}
