import CTuskKernels
import Testing

@Suite struct DispatchTests {
  private func select(_ cap: String?) -> (name: String, selection: TuskSelection) {
    var selection = TuskSelection()
    let kernels = tusk_kernels_select(cap, &selection)
    return (nameOf(kernels), selection)
  }

  @Test func noCapMeansTheBest() {
    let best = everyKernels.map(nameOf).last
    for cap in [nil, ""] {
      let (name, selection) = select(cap)
      #expect(name == best && !selection.unknownName && selection.failedName == nil)
    }
  }

  @Test func aCapIsNeverExceeded() {
    #expect(select("portable").name == "portable")
    for cap in ["avx2", "avxvnni", "avx512vnni"] {
      let (name, selection) = select(cap)
      #expect(everyKernels.map(nameOf).contains(name) && !selection.unknownName)
    }
  }

  @Test func anUnknownCapIsReportedAndIgnored() {
    let (name, selection) = select("abacus")
    #expect(name == everyKernels.map(nameOf).last && selection.unknownName)
  }

  @Test func probesDoWhatTheySay() {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 64)
    defer { raw.deallocate() }
    let buffer = raw.bindMemory(to: UInt64.self, capacity: 1024)
    for i in 0..<1024 { buffer[i] = UInt64(i) }
    for kernels in everyKernels {
      #expect(kernels.pointee.read_probe(raw, 8192) == 1023 * 512)
      let one = kernels.pointee.multiply_add_probe(1)
      #expect(one > 0 && kernels.pointee.multiply_add_probe(10) == 10 * one)
    }
  }
}
