/// One example as the model takes it. S source tokens, T target tokens.
public struct TokenizedExample: Equatable, Sendable {
  /// [S], with what the model takes around a text.
  public var sourceIds: [Int32]
  /// [S], or empty where every token has type 0.
  public var typeIds: [Int32]
  public var target: Target
  /// Line of the file it comes from, from 1 on.
  public var line: Int

  public enum Target: Equatable, Sendable {
    /// [T] of an encoder-decoder, end-of-sequence included.
    case tokens([Int32])
    /// Position of the label in the head's order, of an encoder.
    case label(Int)
    /// Of an encoder's regression.
    case number(Float)
  }

  public init(sourceIds: [Int32], typeIds: [Int32] = [], target: Target, line: Int) {
    self.sourceIds = sourceIds
    self.typeIds = typeIds
    self.target = target
    self.line = line
  }
}
