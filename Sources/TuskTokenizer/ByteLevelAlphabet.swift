/// GPT-2's letters for bytes: a visible Latin-1 character is itself, the others are U+0100 and on, in order.
package enum ByteLevelAlphabet {
  /// The byte that a letter stands for, or nil for any other character.
  package static func byte(of scalar: UInt32) -> UInt8? {
    if scalar < 0x100 { return isVisible(UInt8(scalar)) ? UInt8(scalar) : nil }
    let index = scalar - 0x100
    switch index {
    case 0...0x20: return UInt8(index)
    case 0x21...0x42: return UInt8(index - 0x21 + 0x7F)
    case 0x43: return 0xAD
    default: return nil
    }
  }

  private static func isVisible(_ byte: UInt8) -> Bool {
    (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
  }
}
