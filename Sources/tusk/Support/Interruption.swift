import Foundation
import Synchronization

/// SIGINT and SIGTERM as a question a long command asks between two steps, so that it can put things in order.
enum Interruption {
  private static let requested = Atomic(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// From now on the signals end nothing by themselves.
  static func watch() {
    // Statics are created on first use, which must not happen in the handler.
    _ = isRequested
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in Interruption.requested.store(true, ordering: .relaxed) }
      sigaddset(&signals, number)
    }
    // A parent's thread may have blocked them, and children inherit that.
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}
