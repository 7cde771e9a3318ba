import Foundation
import Testing
import TuskFormat

@testable import TuskEngine

/// A file and an arena that the caller owns: the same answers, and no byte outside of them.
struct CallerMemoryTests {
  private static let guardBytes = 4096
  private static let guardByte: UInt8 = 0xA5

  private let source: [Int32] = [5, 17, 3, 44, 29, 1]
  private let target: [Int32] = [0, 9, 31]

  private func plan(_ file: PackedFile, beams: Int = 1) throws -> MemoryPlan {
    try MemoryPlan(
      config: file.config!,
      request: PlanRequest(sourceTokens: source.count, targetTokens: target.count, beams: beams))
  }

  private func logits(_ session: Session) throws -> [Float] {
    var all: [Float] = []
    try source.withUnsafeBufferPointer { try session.encode($0) }
    try target.withUnsafeBufferPointer { try session.teacherForce($0) { all += $1 } }
    return all
  }

  /// Calls `body` with aligned memory whose bytes read as NaN, and checks that nothing was written behind it.
  private func withGuardedMemory<Result>(
    _ byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: byteCount + Self.guardBytes, alignment: MemoryPlan.alignment)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xFF)
    let behind = UnsafeMutableRawBufferPointer(rebasing: memory[byteCount...])
    behind.initializeMemory(as: UInt8.self, repeating: Self.guardByte)
    let result = try body(UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
    #expect(behind.allSatisfy { $0 == Self.guardByte })
    return result
  }

  @Test(arguments: [WeightEncoding.int8Rows, .float32])
  func aSessionInMemoryOfAnyContentAnswersAsInItsOwn(_ encoding: WeightEncoding) throws {
    let file = try RandomModel.backbone(RandomModel.config(encoding))
    let plan = try plan(file)
    let expected = try logits(Session(file, plan: plan))
    let found = try withGuardedMemory(plan.arenaBytes) { try logits(Session(file, plan: plan, memory: $0)) }
    #expect(found.map(\.bitPattern) == expected.map(\.bitPattern))
  }

  @Test func aBeamSearchInMemoryOfAnyContentFindsTheSame() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let plan = try plan(file, beams: 3)
    func best(_ session: Session) throws -> [Int32] {
      try source.withUnsafeBufferPointer { try session.encode($0) }
      try session.generateByBeams(maxNewTokens: target.count)
      return Array(session.hypothesis(0).ids)
    }
    let expected = try best(Session(file, plan: plan))
    let found = try withGuardedMemory(plan.arenaBytes) { try best(Session(file, plan: plan, memory: $0)) }
    #expect(found == expected)
  }

  @Test func memoryThatIsTooSmallOrMisalignedIsRefused() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let plan = try plan(file)
    withGuardedMemory(plan.arenaBytes + 64) { memory in
      let small = UnsafeMutableRawBufferPointer(rebasing: memory[..<(plan.arenaBytes - 1)])
      #expect(throws: EngineError(.memoryTooSmall, found: plan.arenaBytes - 1, required: plan.arenaBytes)) {
        try Session(file, plan: plan, memory: small)
      }
      let shifted = UnsafeMutableRawBufferPointer(rebasing: memory[4...])
      #expect(throws: EngineError(.misalignedMemory, found: 4)) { try Session(file, plan: plan, memory: shifted) }
      #expect(throws: EngineError(.memoryTooSmall, found: 0, required: plan.arenaBytes)) {
        try Session(file, plan: plan, memory: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
    }
  }

  @Test func aFileInTheCallersMemoryIsReadInPlace() throws {
    let file = try RandomModel.backbone(RandomModel.config())
    let plan = try plan(file)
    let expected = try logits(Session(file, plan: plan))
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: file.mapping.count, alignment: Mapping.alignment)
    defer { bytes.deallocate() }
    file.mapping.bytes.withSpan { span in span.withUnsafeBytes { bytes.copyMemory(from: $0) } }
    let borrowed = try PackedFile(Mapping(borrowing: UnsafeRawBufferPointer(bytes)))
    #expect(try logits(Session(borrowed, plan: plan)) == expected)
  }
}
