import CTuskKernels

/// Why a session may run slower than its caller expects. It answers the same.
public enum KernelNotice: Sendable, Equatable {
  /// The cap names no instruction set that this build has kernels for, and was ignored.
  case unknownCap
  /// The best kernels of this machine gave wrong results in their self-check, and lesser ones are used.
  case failedSelfCheck

  init?(_ selection: TuskSelection) {
    if selection.failedName != nil {
      self = .failedSelfCheck
    } else if selection.unknownName {
      self = .unknownCap
    } else {
      return nil
    }
  }

  public var summary: StaticString {
    switch self {
    case .unknownCap: "no kernels have the name asked for; it is ignored"
    case .failedSelfCheck:
      "the best kernels of this machine gave wrong results in their self-check; slower ones are used"
    }
  }
}
