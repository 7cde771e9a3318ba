/// A trie of byte strings read in place; formats/tokenizer.md describes its units.
///
/// No unit is trusted: an index outside the trie reads as a unit that no byte leads to.
struct DoubleArray: Sendable {
  /// Byte offset of unit 0 in the section.
  let offset: Int
  let unitCount: UInt32

  /// The position of a walk: XOR with a byte gives the index of that byte's child.
  typealias Base = UInt32

  static let labelMask: UInt32 = 0x8000_00FF
  static let hasValue: UInt32 = 0x100

  var isEmpty: Bool { unitCount == 0 }

  @inline(__always)
  func unit(_ index: UInt32, in section: RawSpan) -> UInt32 {
    guard index < unitCount else { return .max }
    return UInt32(littleEndian: section.unsafeLoadUnaligned(fromByteOffset: offset &+ Int(index) &* 4, as: UInt32.self))
  }

  @inline(__always)
  static func base(of unit: UInt32, at index: UInt32) -> Base {
    index ^ ((unit >> 10) << ((unit & 0x200) >> 6))
  }

  /// Where every walk begins. In an empty trie no byte leads anywhere from here.
  @inline(__always)
  func root(in section: RawSpan) -> Base { Self.base(of: unit(0, in: section), at: 0) }

  /// Takes one step: the child unit for `byte`, or nil. `base` moves to the child.
  @inline(__always)
  func step(_ base: inout Base, _ byte: UInt8, in section: RawSpan) -> UInt32? {
    let index = base ^ UInt32(byte)
    let child = unit(index, in: section)
    guard child & Self.labelMask == UInt32(byte) else { return nil }
    base = Self.base(of: child, at: index)
    return child
  }

  /// The value of the key that ends where `base` is; call it only when the unit reached has `hasValue`.
  @inline(__always)
  func value(at base: Base, in section: RawSpan) -> UInt32 {
    unit(base, in: section) & 0x7FFF_FFFF
  }

  /// The longest key that begins at `start` of `text` and is at most `limit` bytes long.
  /// - Complexity: O(`limit`).
  @inline(__always)
  func longestMatch(
    in text: RawSpan, from start: Int, to end: Int, limit: Int, section: RawSpan
  ) -> (length: Int, value: UInt32)? {
    guard !isEmpty else { return nil }
    var best: (length: Int, value: UInt32)?
    var base = root(in: section)
    var position = start
    let last = end &- start > limit ? start &+ limit : end
    while position < last {
      let byte = text.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      guard let child = step(&base, byte, in: section) else { break }
      position &+= 1
      if child & Self.hasValue != 0 { best = (position &- start, value(at: base, in: section)) }
    }
    return best
  }
}
