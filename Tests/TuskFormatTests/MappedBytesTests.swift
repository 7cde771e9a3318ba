import Testing

@testable import TuskFormat

@Test func slicesOfAMappingReadTheBytesOfTheirRange() {
  let mapping = Mapping(copying: [10, 11, 12, 13])
  let middle = mapping.bytes.slice(1..<3)
  #expect(middle.offset == 1)
  #expect(middle.withSpan { $0.unsafeLoad(fromByteOffset: 1, as: UInt8.self) } == 12)
}

@Test func aDirectoryIsNotMapped() {
  #expect(throws: FormatError(.notRegularFile, at: 0, found: 21)) { try Mapping(path: "/") }
}
