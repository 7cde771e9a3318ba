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

  @Test func everyKernelAgreesWithPortable() {
    for kernels in everyKernels { #expect(tusk_kernels_agree(kernels, portable)) }
  }

  /// One table per operation, in which that operation alone is wrong in the least way it can be.
  @Test func aWrongResultOfAnyOperationIsSeen() {
    var broken: [(name: String, table: TuskKernels)] = []
    func add(_ name: String, _ change: (inout TuskKernels) -> Void) {
      var table = portable.pointee
      change(&table)
      broken.append((name, table))
    }
    add("quantize") {
      $0.quantize_i16_f32 = { x, xStride, rows, columns, codes, stride, scales in
        portable.pointee.quantize_i16_f32(x, xStride, rows, columns, codes, stride, scales)
        codes[columns - 1] ^= 1
      }
    }
    add("quantize rows") {
      $0.quantize_i8_f32 = { x, groups, width, codes, scales in
        portable.pointee.quantize_i8_f32(x, groups, width, codes, scales)
        codes[groups * width - 1] ^= 1
      }
    }
    add("convert") {
      $0.convert_f16_f32 = { x, n, y in
        portable.pointee.convert_f16_f32(x, n, y)
        y[1] ^= 1
      }
    }
    add("combine") {
      $0.combine_f32 = { product in
        portable.pointee.combine_f32(product)
        if product.pointee.element == TuskElementI8 { nudge(product.pointee.y) }
      }
    }
    add("matmul i8") {
      $0.matmul_f32_i16_i8 = { product, n0, n1 in
        portable.pointee.matmul_f32_i16_i8(product, n0, n1)
        nudge(product.pointee.y + (n1 - 1))
      }
    }
    add("matmul f32") {
      $0.matmul_f32_f32_f32 = { product, n0, n1 in
        portable.pointee.matmul_f32_f32_f32(product, n0, n1)
        nudge(product.pointee.y + (n1 - 1))
      }
    }
    add("gather") {
      $0.gather_f32_i8 = { codes, scale, columns, y in
        portable.pointee.gather_f32_i8(codes, scale, columns, y)
        nudge(y + (columns - 1))
      }
    }
    add("rmsnorm") {
      $0.rmsnorm_f32 = { x, xStride, rows, width, weight, epsilon, y, yStride in
        portable.pointee.rmsnorm_f32(x, xStride, rows, width, weight, epsilon, y, yStride)
        nudge(y + (width - 1))
      }
    }
    add("layernorm") {
      $0.layernorm_f32 = { x, xStride, rows, width, weight, bias, epsilon, y, yStride in
        portable.pointee.layernorm_f32(x, xStride, rows, width, weight, bias, epsilon, y, yStride)
        nudge(y + (width - 1))
      }
    }
    add("activate") {
      $0.activate_f32 = { kind, x, n in
        portable.pointee.activate_f32(kind, x, n)
        if kind == TuskActivationLeakyRelu { nudge(x + (n - 1)) }
      }
    }
    add("add") {
      $0.add_f32 = { y, x, n in
        portable.pointee.add_f32(y, x, n)
        nudge(y + (n - 1))
      }
    }
    add("multiply") {
      $0.multiply_f32 = { y, x, n in
        portable.pointee.multiply_f32(y, x, n)
        nudge(y + (n - 1))
      }
    }
    add("scale") {
      $0.scale_f32 = { y, factor, n in
        portable.pointee.scale_f32(y, factor, n)
        nudge(y + (n - 1))
      }
    }
    add("axpy") {
      $0.axpy_f32 = { y, factor, x, n in
        portable.pointee.axpy_f32(y, factor, x, n)
        nudge(y + (n - 1))
      }
    }
    add("attend") {
      $0.attend_f32 = { head, scratch in
        portable.pointee.attend_f32(head, scratch)
        nudge(head.pointee.out)
      }
    }
    add("kronecker") {
      $0.kronecker_f32 = { layer, x, xStride, rows, y, yStride, scratch, count in
        portable.pointee.kronecker_f32(layer, x, xStride, rows, y, yStride, scratch, count)
        if layer.pointee.full != nil { nudge(y) }
      }
    }
    add("argmax") { $0.argmax_f32 = { x, n in portable.pointee.argmax_f32(x, n) + 1 } }
    add("max") { $0.max_f32 = { x, n in portable.pointee.max_f32(x, n).nextUp } }
    add("logsumexp") { $0.logsumexp_f32 = { x, n in portable.pointee.logsumexp_f32(x, n).nextUp } }
    for (name, table) in broken {
      #expect(!withUnsafePointer(to: table) { tusk_kernels_agree($0, portable) }, "\(name)")
    }
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

/// The next number: the smallest error there is.
private func nudge(_ y: UnsafeMutablePointer<Float>) { y.pointee = y.pointee.nextUp }
