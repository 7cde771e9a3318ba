import COpenBLAS
import Testing

@Suite struct BLASTests {
  @Test func productsOfSmallIntegersAreExact() throws {
    #expect(tusk_blas_load() == nil)
    let a: [Float] = [1, 2, 3, 4, 5, 6]
    let b: [Float] = [7, 8, 9, 10, 11, 12]
    var c: [Float] = [1, 1, 1, 1]
    // [2, 3] [3, 2] + C, then the same from the transposed forms of both.
    tusk_blas_sgemm(false, false, 2, 2, 3, 1, a, 3, b, 2, 1, &c, 2)
    #expect(c == [59, 65, 140, 155])
    let aTransposed: [Float] = [1, 4, 2, 5, 3, 6]
    let bTransposed: [Float] = [7, 9, 11, 8, 10, 12]
    tusk_blas_sgemm(true, true, 2, 2, 3, 2, aTransposed, 2, bTransposed, 3, 0, &c, 2)
    #expect(c == [116, 128, 278, 308])
  }
}
