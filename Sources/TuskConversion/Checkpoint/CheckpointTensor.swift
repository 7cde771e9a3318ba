/// How one value of a checkpoint's tensor is stored; always little-endian.
public enum ElementType: String, Sendable, CaseIterable {
  case float32, float16, bfloat16, float64
  case int64, int32, int16, int8, uint8, bool

  public var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .int16: 2
    case .int8, .uint8, .bool: 1
    }
  }

  /// Whether `Checkpoint.readRows` can give the values as float32.
  public var isFloatingPoint: Bool {
    switch self {
    case .float32, .float16, .bfloat16, .float64: true
    case .int64, .int32, .int16, .int8, .uint8, .bool: false
    }
  }
}

/// A tensor of a checkpoint: its name and where its values lie. Every number was checked against its file, so the element
/// count and the byte count of the values are small enough for `Int`.
public struct CheckpointTensor: Sendable, Equatable {
  public let name: String
  /// Row-major; empty for a single value.
  public let shape: [Int]
  public let elementType: ElementType
  /// Path of the file that holds the values.
  public let sourceFile: String
  /// The first name, in sorted order, of those that share this tensor's storage with the same shape and strides; nil for
  /// that first name itself and for a tensor that shares with none.
  public internal(set) var aliasOf: String?
  let view: StorageView

  /// Product of `shape`.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The first dimension; 1 for a single value.
  public var rowCount: Int { shape.first ?? 1 }

  /// Values in one row: the product of all dimensions but the first.
  public var rowElementCount: Int { shape.dropFirst().reduce(1, *) }
}

/// A strided look at a range of bytes of a file. Two names with equal views are one tensor stored once.
struct StorageView: Hashable, Sendable {
  /// Index of the file among those the checkpoint opened.
  let file: Int
  /// Offset in the file of the storage's first byte; of its compressed form when `compressedByteCount` is not nil.
  let offset: UInt64
  /// Bytes of the whole storage when nothing is compressed.
  let byteCount: UInt64
  /// Bytes of the storage's deflated form in the file, nil when it is stored as it is.
  let compressedByteCount: UInt64?
  let elementType: ElementType
  /// Index of the view's first element in the storage.
  let firstElement: Int
  let shape: [Int]
  /// Elements between neighbours along each dimension of `shape`.
  let strides: [Int]

  var elementCount: Int { shape.reduce(1, *) }

  /// Strides of a row-major array without gaps.
  static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for dimension in shape.indices.dropLast().reversed() {
      strides[dimension] = strides[dimension + 1] * max(shape[dimension + 1], 1)
    }
    return strides
  }

  /// Whether the elements lie one after another; the stride of a dimension with one element is never used.
  var isContiguous: Bool {
    let expected = StorageView.contiguousStrides(shape)
    return shape.contains(0) || shape.indices.allSatisfy { shape[$0] == 1 || strides[$0] == expected[$0] }
  }
}

/// The product of `shape`, or nil when a dimension is negative or the product does not fit in `Int`.
func checkedElementCount(_ shape: [Int]) -> Int? {
  guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
  // A zero makes the tensor empty, but rows are counted by the other dimensions: they too must multiply to an `Int`.
  var product = 1
  for dimension in shape where dimension != 0 {
    let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
    guard !overflow else { return nil }
    product = next
  }
  return shape.contains(0) ? 0 : product
}
