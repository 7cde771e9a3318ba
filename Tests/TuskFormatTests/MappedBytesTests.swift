import Foundation
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

@Test func memoryThatIsNotAlignedHoldsNoFile() throws {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 128, alignment: Mapping.alignment)
  defer { memory.deallocate() }
  #expect(try Mapping(borrowing: UnsafeRawBufferPointer(memory)).count == 128)
  #expect(try Mapping(borrowing: UnsafeRawBufferPointer(start: nil, count: 0)).count == 0)
  #expect(throws: FormatError(.misalignedMemory, at: 0, found: 4)) {
    try Mapping(borrowing: UnsafeRawBufferPointer(rebasing: memory[4...]))
  }
}

@Test func aDescriptorIsMappedAndStaysTheCallers() throws {
  let path = #filePath
  let descriptor = open(path, O_RDONLY)
  defer { #expect(close(descriptor) == 0) }
  let mapping = try Mapping(descriptor: descriptor)
  #expect(mapping.count == (try Mapping(path: path)).count)
  #expect(throws: FormatError(.cannotOpen, at: 0, found: 9)) { try Mapping(descriptor: -1) }
}
