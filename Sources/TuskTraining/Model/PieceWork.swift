import CTuskSystem
import TuskEngine

/// Work that falls into numbered pieces, none of which depends on another. Pieces are cut without regard to the number of
/// threads, so that results do not depend on it.
protocol PieceWork {
  /// Calls `run` of the work that the context points to.
  static var body: tusk_pool_body { get }
  func run(_ piece: Int, worker: Int)
}

extension ThreadPool {
  /// Runs pieces `0..<count` of `work` and returns when all have been.
  func run<Work: PieceWork>(_ count: Int, _ work: Work) { run(count, work, Work.body) }
}
