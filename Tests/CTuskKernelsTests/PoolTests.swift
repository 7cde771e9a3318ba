import CTuskSystem
import Synchronization
import Testing

/// Counts what a pool does; bodies reach it through the context pointer.
private final class Tally: Sendable {
  let visits: [Counter]
  let worst = Atomic<Int>(0)
  let refused = Atomic<Int>(0)

  final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  init(_ count: Int) { visits = (0..<count).map { _ in Counter() } }

  var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

  static func at(_ context: UnsafeMutableRawPointer?) -> Tally? {
    context.map { Unmanaged<Tally>.fromOpaque($0).takeUnretainedValue() }
  }
}

@Suite(.serialized) struct PoolTests {
  @Test(arguments: 1...8)
  func visitsEveryIndexOnceInEveryRound(threads: Int) throws {
    let pool = try #require(tusk_pool_create(Int32(threads)))
    defer { tusk_pool_destroy(pool) }
    #expect(tusk_pool_thread_count(pool) == Int32(threads))
    let tally = Tally(100)
    var expected = [Int](repeating: 0, count: 100)
    for round in 0..<2000 {
      let count = round * 7 % 101
      let ran = tusk_pool_run(
        pool, count,
        { context, index, worker in
          guard let tally = Tally.at(context) else { return }
          tally.visits[index].value.wrappingAdd(1, ordering: .relaxed)
          tally.worst.max(Int(worker), ordering: .relaxed)
        }, tally.context)
      #expect(ran)
      for i in 0..<count { expected[i] += 1 }
    }
    #expect(tally.visits.map { $0.value.load(ordering: .relaxed) } == expected)
    #expect(tally.worst.load(ordering: .relaxed) < threads)
  }

  /// A worker that sleeps between runs is woken, and one that wakes late finds no stale work.
  @Test func survivesParking() throws {
    let pool = try #require(tusk_pool_create(3))
    defer { tusk_pool_destroy(pool) }
    let tally = Tally(8)
    for round in 1...40 {
      let pause = ContinuousClock.now.advanced(by: .microseconds(round % 4 * 400))
      while ContinuousClock.now < pause {}
      tusk_pool_run(
        pool, 8,
        { context, index, _ in
          Tally.at(context)?.visits[index].value.wrappingAdd(1, ordering: .relaxed)
        }, tally.context)
      #expect(tally.visits.allSatisfy { $0.value.load(ordering: .relaxed) == round })
    }
  }

  @Test(arguments: [1, 4])
  func refusesToRunInsideItself(threads: Int32) throws {
    let pool = try #require(tusk_pool_create(threads))
    defer { tusk_pool_destroy(pool) }
    let tally = Tally(1)
    let pair = Pair(pool: pool, tally: tally)
    withExtendedLifetime(pair) {
      let context = Unmanaged.passUnretained(pair).toOpaque()
      tusk_pool_run(
        pool, 16,
        { context, _, _ in
          guard let context else { return }
          let pair = Unmanaged<Pair>.fromOpaque(context).takeUnretainedValue()
          if !tusk_pool_run(pair.pool, 1, { _, _, _ in }, nil) {
            pair.tally.refused.wrappingAdd(1, ordering: .relaxed)
          }
        }, context)
    }
    #expect(tally.refused.load(ordering: .relaxed) == 16)
    let runsAgain = tusk_pool_run(pool, 1, { _, _, _ in }, nil)
    #expect(runsAgain)
  }

  @Test func rejectsImpossibleCounts() {
    #expect(tusk_pool_create(0) == nil)
    #expect(tusk_pool_create(-1) == nil)
    #expect(tusk_pool_create(1 << 20) == nil)
    tusk_pool_destroy(nil)
  }

  @Test func countsCores() {
    #expect(tusk_physical_core_count() >= 1)
  }
}

private final class Pair {
  let pool: OpaquePointer
  let tally: Tally

  init(pool: OpaquePointer, tally: Tally) { (self.pool, self.tally) = (pool, tally) }
}
