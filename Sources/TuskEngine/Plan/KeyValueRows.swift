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
  /// [count, width] of `precision`.
  let rows: Region
  /// [count, width / groupWidth] of int8, else empty.
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

/// Rows of keys or values: [any, width].
struct KeyValueRows {
  private(set) var base: UnsafeMutableRawPointer
  /// [any, width / groupWidth] of int8.
  private(set) var scales: UnsafeMutablePointer<Float>
  let precision: KeyValuePrecision
  let width: Int
  let groupWidth: Int

  init(_ region: KeyValueRegion, _ arena: Arena) {
    base = UnsafeMutableRawPointer(arena.pointer(region.rows, to: UInt8.self))
    scales = arena.floats(region.scales)
    precision = region.precision
    width = region.width
    groupWidth = region.groupWidth
  }

  /// The rows from `row` on.
  func from(row: Int) -> KeyValueRows { from(row: row, group: 0) }

  /// The rows from `row` on, seen from the first number of `group` on.
  func from(row: Int, group: Int) -> KeyValueRows {
    var rows = self
    rows.base += (row * width + group * groupWidth) * precision.elementBytes
    if precision == .int8 { rows.scales += row * (width / groupWidth) + group }
    return rows
  }

  /// The rows themselves if they are floats, so that products are written in place.
  var floats: UnsafeMutablePointer<Float>? {
    precision == .float32 ? base.assumingMemoryBound(to: Float.self) : nil
  }

  /// Keeps `x` [count, width] as the first rows.
  func store(_ x: UnsafePointer<Float>, count: Int, _ kernels: TuskKernels) {
    switch precision {
    case .float32: base.assumingMemoryBound(to: Float.self).copy(from: x, count: count * width)
    case .float16: kernels.convert_f16_f32(x, count * width, base.assumingMemoryBound(to: UInt16.self))
    case .int8:
      kernels.quantize_i8_f32(
        x, count * width / groupWidth, groupWidth, base.assumingMemoryBound(to: Int8.self), scales)
    }
  }
}
