import TuskFormat

/// What rounding to int8 did to all tensors of one role.
public struct Distortion: Sendable {
  public let role: TensorRole
  public internal(set) var tensorCount = 0
  public internal(set) var elementCount = 0
  /// Elements with code 0.
  public internal(set) var zeroCodeCount = 0
  public internal(set) var largestError: Float = 0
  /// The row with the largest error relative to its own values, with that error.
  public internal(set) var worstRow: (tensor: String, row: Int, relativeError: Double)?
  var squares = 0.0
  var errorSquares = 0.0

  init(_ role: TensorRole) { self.role = role }

  /// Root of the mean squared error over that of the mean square.
  public var relativeError: Double { squares > 0 ? (errorSquares / squares).squareRoot() : 0 }

  /// Share of the elements with code 0.
  public var zeroShare: Double { elementCount > 0 ? Double(zeroCodeCount) / Double(elementCount) : 0 }

  mutating func add(_ outcome: RowEncoding.Outcome, columns: Int, tensor: String, row: Int) {
    elementCount += columns
    zeroCodeCount += outcome.zeroCodes
    largestError = max(largestError, outcome.largestError)
    squares += outcome.squares
    errorSquares += outcome.errorSquares
    guard outcome.squares > 0 else { return }
    let relative = (outcome.errorSquares / outcome.squares).squareRoot()
    if relative > worstRow?.relativeError ?? -1 { worstRow = (tensor, row, relative) }
  }
}
