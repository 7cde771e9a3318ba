import CTuskKernels

/// What a key or value is kept as.
public enum KeyValuePrecision: UInt8, CaseIterable, Sendable {
  case float32
  /// IEEE half precision: 11 significant bits. Magnitudes above 65504 are kept as that.
  case float16
  /// A code in [-127, 127] and a scale for every head of every token.
  case int8

  public var name: StaticString {
    switch self {
    case .float32: "float32"
    case .float16: "float16"
    case .int8: "int8"
    }
  }

  var elementBytes: Int {
    switch self {
    case .float32: 4
    case .float16: 2
    case .int8: 1
    }
  }

  var element: TuskElement {
    switch self {
    case .float32: TuskElementF32
    case .float16: TuskElementF16
    case .int8: TuskElementI8
    }
  }
}

/// What the decoder's cross-attention reads of a source.
public enum CrossAttention: UInt8, CaseIterable, Sendable {
  /// Keys and values of every block, computed once per source.
  case cached
  /// The encoder's output alone, shared by all blocks: score = (W_k^T q) . h and context = W_v (sum p h), which take
  /// D / K times the multiply-adds and D / (2 L H K) of the memory.
  case absorbed

  public var name: StaticString {
    switch self {
    case .cached: "cached"
    case .absorbed: "absorbed"
    }
  }
}

/// Where rows of keys or values lie in the arena.
struct KeyValueRegion: Sendable {
  /// `count` rows of `width` numbers of `precision`; see `KeyValueRows` for their order.
  let rows: Region
  /// [count, width / groupWidth] of int8, in the same order, else empty.
  let scales: Region
  let precision: KeyValuePrecision
  let width: Int
  /// Numbers with a scale of their own: a head.
  let groupWidth: Int

  var byteCount: Int { rows.byteCount + scales.byteCount }

  init(
    _ map: inout ArenaMap, count: Int, width: Int, groupWidth: Int, _ precision: KeyValuePrecision
  ) {
    rows = map.take(count, width, elementBytes: precision.elementBytes)
    scales = map.floats(precision == .int8 ? count : 0, width / max(groupWidth, 1))
    self.precision = precision
    self.width = width
    self.groupWidth = groupWidth
  }
}

/// Rows of keys or values, each in groups, the heads: [any, width], or in blocks of [groups, rows, groupWidth]. A decoder
/// reads the latter: the rows of one head, of which it meets all with each token, are then neighbours.
struct KeyValueRows {
  private(set) var base: UnsafeMutableRawPointer
  /// Of int8, one for every group of every row.
  private(set) var scales: UnsafeMutablePointer<Float>
  let precision: KeyValuePrecision
  let width: Int
  let groupWidth: Int
  /// From a row to the next and from a group to the next, in groups.
  let rowStep: Int
  private let groupStep: Int

  /// Rows after rows.
  init(_ region: KeyValueRegion, _ arena: Arena) {
    let groups = region.width / max(region.groupWidth, 1)
    self.init(region, arena, firstGroup: 0, rowStep: groups, groupStep: 1)
  }

  /// The rows of block `block`, of `rows` rows like those before it.
  init(_ region: KeyValueRegion, _ arena: Arena, block: Int, rows: Int) {
    let groups = region.width / max(region.groupWidth, 1)
    self.init(region, arena, firstGroup: block * rows * groups, rowStep: 1, groupStep: rows)
  }

  private init(_ region: KeyValueRegion, _ arena: Arena, firstGroup: Int, rowStep: Int, groupStep: Int) {
    base = UnsafeMutableRawPointer(arena.pointer(region.rows, to: UInt8.self))
    scales = arena.floats(region.scales)
    precision = region.precision
    width = region.width
    groupWidth = region.groupWidth
    self.rowStep = rowStep
    self.groupStep = groupStep
    advance(groups: firstGroup)
  }

  private mutating func advance(groups: Int) {
    base += groups * groupWidth * precision.elementBytes
    if precision == .int8 { scales += groups }
  }

  /// The rows from `row` on.
  func from(row: Int) -> KeyValueRows { from(row: row, group: 0) }

  /// The rows from `row` on, seen from the first number of `group` on.
  func from(row: Int, group: Int) -> KeyValueRows {
    var rows = self
    rows.advance(groups: row * rowStep + group * groupStep)
    return rows
  }

  private var rowsAreWhole: Bool { groupStep == 1 || groupWidth == width }

  /// The rows themselves if they are floats and each is whole, so that products are written in place.
  var floats: UnsafeMutablePointer<Float>? {
    precision == .float32 && rowsAreWhole ? base.assumingMemoryBound(to: Float.self) : nil
  }

  /// Keeps `x` [count, width] as the first rows.
  func store(_ x: UnsafePointer<Float>, count: Int, _ kernels: TuskKernels) {
    guard !rowsAreWhole else {
      store(x, groups: count * width / groupWidth, kernels)
      return
    }
    for row in 0..<count {
      for group in 0..<width / groupWidth {
        from(row: row, group: group).store(x + row * width + group * groupWidth, groups: 1, kernels)
      }
    }
  }

  /// Keeps `x` [groups, groupWidth] from here on.
  private func store(_ x: UnsafePointer<Float>, groups: Int, _ kernels: TuskKernels) {
    let count = groups * groupWidth
    switch precision {
    case .float32: base.assumingMemoryBound(to: Float.self).copy(from: x, count: count)
    case .float16: kernels.convert_f16_f32(x, count, base.assumingMemoryBound(to: UInt16.self))
    case .int8: kernels.quantize_i8_f32(x, groups, groupWidth, base.assumingMemoryBound(to: Int8.self), scales)
    }
  }
}
