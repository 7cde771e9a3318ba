import CTuskSystem

/// Threads that share out numbered pieces of work; none is created or freed while a session lives.
package final class ThreadPool {
  private let pool: OpaquePointer
  package let threadCount: Int

  /// - Throws: `threadsUnavailable`.
  package init(threadCount: Int) throws(EngineError) {
    guard let count = Int32(exactly: threadCount), let pool = tusk_pool_create(count) else {
      throw EngineError(.threadsUnavailable, required: threadCount)
    }
    self.pool = pool
    self.threadCount = threadCount
  }

  deinit { tusk_pool_destroy(pool) }

  /// Calls `body` with a pointer to `job`, an index in `0..<count` and the number of the worker, in any order and on any
  /// thread, and returns when all calls have.
  package func run<Job>(_ count: Int, _ job: Job, _ body: tusk_pool_body) {
    withUnsafePointer(to: job) { pointer in
      let started = tusk_pool_run(pool, count, body, UnsafeMutableRawPointer(mutating: pointer))
      precondition(started, "a pool runs one job at a time")
    }
  }

  /// Pieces for `count` rows of work: enough that a slow thread holds up little, not so many that fetching them shows.
  package func pieces(_ count: Int, atLeast rows: Int) -> Int {
    threadCount == 1 ? 1 : max(1, min(count / rows, threadCount * 4))
  }
}

/// The rows that piece `index` of `pieces` covers, in multiples of `granularity`.
package func piece(_ index: Int, of pieces: Int, count: Int, granularity: Int) -> Range<Int> {
  let units = (count + granularity - 1) / granularity
  let start = units * index / pieces * granularity
  let end = min(units * (index + 1) / pieces * granularity, count)
  return min(start, end)..<end
}
