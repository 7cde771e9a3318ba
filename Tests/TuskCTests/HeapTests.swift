import CTuskHandles
import Testing

/// The allocator that serves libtusk, built without the Swift runtime, from the caller's memory.
@Suite struct HeapTests {
  private struct Piece {
    let memory: UnsafeMutableRawPointer
    let count: Int
    let mark: UInt8
  }

  @Test func blocksAreDisjointAlignedAndComeBackAsOne() throws {
    let bytes = AlignedBytes(count: 1 << 16)
    let heap = try #require(tusk_heap_make(bytes.buffer.baseAddress!, bytes.buffer.count))
    #expect(tusk_heap_enter(heap) == nil)
    defer { _ = tusk_heap_enter(nil) }
    var random = SystemlessRandom(seed: 3)
    var pieces: [Piece] = []
    for step in 0..<20_000 {
      if pieces.count < 40, random.below(2) == 0 {
        let alignment = 1 << random.below(8)
        let count = random.below(600)
        var memory: UnsafeMutableRawPointer?
        #expect(tusk_heap_posix_memalign(&memory, alignment, count) == 0)
        let start = try #require(memory)
        #expect(Int(bitPattern: start) % max(alignment, 16) == 0)
        let range = UnsafeRawPointer(start)..<UnsafeRawPointer(start) + count
        let whole = UnsafeRawPointer(bytes.buffer.baseAddress!)
        #expect(range.lowerBound >= whole && range.upperBound <= whole + bytes.buffer.count)
        let mark = UInt8(truncatingIfNeeded: step)
        start.initializeMemory(as: UInt8.self, repeating: mark, count: count)
        pieces.append(Piece(memory: start, count: count, mark: mark))
      } else if !pieces.isEmpty {
        let piece = pieces.remove(at: random.below(pieces.count))
        let values = UnsafeRawBufferPointer(start: piece.memory, count: piece.count)
        #expect(values.allSatisfy { $0 == piece.mark }, "another block was written over it")
        tusk_heap_free(piece.memory)
      }
    }
    for piece in pieces { tusk_heap_free(piece.memory) }
    #expect(tusk_heap_take_overflow(heap) == 0)
    // All neighbours were joined again, or there would be no such block.
    let large = try #require(tusk_heap_malloc(bytes.buffer.count - 256))
    #expect(tusk_heap_take_overflow(heap) == 0)
    tusk_heap_free(large)
    #expect(tusk_heap_peak_bytes(heap) > bytes.buffer.count - 256)
  }

  @Test func whatDoesNotFitComesFromMallocAndIsCounted() throws {
    let bytes = AlignedBytes(count: 4096)
    let heap = try #require(tusk_heap_make(bytes.buffer.baseAddress!, bytes.buffer.count))
    _ = tusk_heap_enter(heap)
    defer { _ = tusk_heap_enter(nil) }
    let large = try #require(tusk_heap_calloc(1000, 10))
    #expect((0..<10_000).allSatisfy { large.load(fromByteOffset: $0, as: UInt8.self) == 0 })
    #expect(tusk_heap_take_overflow(heap) >= 10_000 && tusk_heap_take_overflow(heap) == 0)
    let small = try #require(tusk_heap_malloc(100))
    #expect(tusk_heap_take_overflow(heap) == 0)
    tusk_heap_free(large)
    _ = tusk_heap_enter(nil)
    tusk_heap_free(small)
    tusk_heap_free(nil)
    _ = tusk_heap_enter(heap)
    #expect(tusk_heap_malloc(.max) == nil && tusk_heap_calloc(.max, 2) == nil)
    #expect(tusk_heap_make(bytes.buffer.baseAddress!, 50) == nil)
    #expect(tusk_heap_take_overflow(nil) == 0)
  }
}
