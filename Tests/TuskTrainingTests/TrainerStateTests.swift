import CTuskSystem
import Foundation
import Testing
import TuskFormat

@testable import TuskTraining

/// State files of other runs, cut, and damaged: refused with the file and a reason, never a trap.
@Suite struct TrainerStateTests {
  private let folder: StateFolder
  private let tiny: TinyTraining

  init() throws {
    folder = try StateFolder()
    tiny = try TinyTraining.encoderDecoder.get()
  }

  /// The state of a run that was stopped after its first epoch.
  private func stoppedState(_ settings: TrainingSettings, isEvaluated: Bool = true) throws -> [UInt8] {
    _ = try tiny.trainer(settings, statePath: folder.path(), isEvaluated: isEvaluated).run { $0 != .saved(step: 4) }
    return try folder.bytes()
  }

  private func refusal(_ bytes: [UInt8], _ trainer: Trainer) throws -> TrainingError? {
    try Data(bytes).write(to: folder.url.appending(path: "task.state"))
    do throws(TrainingError) {
      try trainer.resume()
      return nil
    } catch { return error }
  }

  private func withChecksum(_ bytes: [UInt8]) -> [UInt8] {
    let checksum = tusk_crc32(0, bytes, bytes.count - 4)
    return bytes.dropLast(4) + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt32($0))) }
  }

  @Test func everyTruncationIsRefused() throws {
    let settings = TinyTraining.settings(.prompt)
    let bytes = try stoppedState(settings)
    let trainer = try tiny.trainer(settings, statePath: folder.path())
    for length in 0..<bytes.count {
      let error = try #require(try refusal(Array(bytes[..<length]), trainer), "\(length) of \(bytes.count) bytes")
      #expect(error.kind == .malformed && error.file == folder.path() && error.sentence.hasPrefix("byte "))
      #expect(error.exitCode == 65)
    }
    #expect(try refusal(bytes + [0], trainer)?.kind == .malformed)
    #expect(try refusal(bytes, trainer) == nil)
  }

  @Test func everyByteThatIsChangedIsRefused() throws {
    let settings = TinyTraining.settings(.prompt)
    let bytes = try stoppedState(settings)
    let trainer = try tiny.trainer(settings, statePath: folder.path())
    for position in bytes.indices {
      var changed = bytes
      changed[position] ^= 0x55
      let error = try #require(try refusal(changed, trainer), "byte \(position)")
      #expect(error.kind == .malformed && error.file == folder.path())
    }
  }

  /// With a checksum that fits, what remains to find faults are the checks behind it.
  @Test func noByteThatIsChangedTraps() throws {
    let settings = TinyTraining.settings(.prompt)
    let bytes = try stoppedState(settings)
    let trainer = try tiny.trainer(settings, statePath: folder.path())
    var kinds: [TrainingError.Kind?: Int] = [:]
    for position in 0..<bytes.count - 4 {
      for pattern: UInt8 in [0x01, 0x10, 0x80] {
        var changed = bytes
        changed[position] ^= pattern
        kinds[try refusal(withChecksum(changed), trainer)?.kind, default: 0] += 1
      }
    }
    // Numbers of the task and its moments may be any; everything else is found.
    #expect(Set(kinds.keys) == [nil, .malformed, .mismatch], "\(kinds)")
    #expect(kinds[.malformed]! > 100 && kinds[.mismatch]! > 100, "\(kinds)")
  }

  @Test func countsThatNoRunComesToAreRefused() throws {
    let settings = TinyTraining.settings(.prompt)
    let trainer = try tiny.trainer(settings, statePath: folder.path())
    func isConsistent(_ change: (inout TrainingState) -> Void) -> Bool {
      var state = TrainingState(
        identity: [:], packRows: 1, step: 6, epochsDone: 1, bestEpoch: 1, bestValue: 0.5)
      change(&state)
      return state.isConsistent(epochs: 3, stepsPerEpoch: trainer.stepsPerEpoch)
    }
    #expect(isConsistent { _ in })
    #expect(isConsistent { $0.step = 4 } && isConsistent { $0.step = 8 })
    #expect(isConsistent { ($0.step, $0.epochsDone) = (12, 3) })
    #expect(isConsistent { ($0.bestEpoch, $0.bestValue) = (nil, nil) })
    #expect(!isConsistent { $0.step = 3 } && !isConsistent { $0.step = 9 } && !isConsistent { $0.step = -1 })
    #expect(!isConsistent { ($0.step, $0.epochsDone) = (13, 3) })
    #expect(!isConsistent { ($0.step, $0.epochsDone) = (16, 4) })
    #expect(!isConsistent { $0.epochsDone = -1 } && !isConsistent { $0.epochsDone = .max })
    #expect(!isConsistent { $0.bestEpoch = .min } && !isConsistent { $0.bestEpoch = 2 })
    #expect(!isConsistent { $0.bestEpoch = nil })
  }

  @Test func aStateOfAnotherRunIsRefusedByName() throws {
    let bytes = try stoppedState(TinyTraining.settings())
    let changes: [(String, (inout TrainingSettings) -> Void)] = [
      ("seed: found 7, required 8", { $0.seed = 8 }), ("batch: found 3, required 4", { $0.batch = 4 }),
      ("epochs: found 3, required 4", { $0.epochs = 4 }), ("dropout: found 0.1, required 0.2", { $0.dropout = 0.2 }),
      ("learning rate: found 0.02, required 0.03", { $0.optimizer.learningRate = 0.03 }),
      ("method: found compacter, required low-rank", { $0.method = TinyTraining.settings(.lowRank).method }),
      ("dialect: found authors, required adapterhub", { $0.method = MethodSettings(.compacter, dialect: .adapterhub) }),
      ("terms: found 2, required 4", { $0.method.phmDim = 4 }),
      ("steps: found 12, required 13", { $0.optimizer.totalSteps = 13 }),
      ("epochs of patience: found all, required 2", { $0.patience = 2 }),
    ]
    for (words, change) in changes {
      var settings = TinyTraining.settings()
      change(&settings)
      settings.method.reductionFactor = 2
      settings.method.phmDim = words.hasPrefix("terms") ? 4 : 2
      let error = try refusal(bytes, try tiny.trainer(settings, statePath: folder.path()))
      #expect(error?.kind == .mismatch && error?.file == folder.path())
      // Of several differences the first by name is told.
      #expect(
        words.hasPrefix("dialect")
          ? error?.sentence.hasPrefix("the state is of another run (") == true
          : error?.sentence == "the state is of another run (\(words))")
    }
    let ofOtherData = try refusal(bytes, try tiny.trainer(statePath: folder.path(), data: "other"))
    #expect(ofOtherData?.sentence == "the state is of another run (training data: found data, required other)")
    let withoutValidation = try refusal(bytes, try tiny.trainer(statePath: folder.path(), isEvaluated: false))
    #expect(
      withoutValidation?.kind == .mismatch && withoutValidation!.sentence.contains("validation examples: found 4"))
    let other = try TinyTraining.encoder.get().trainer(statePath: folder.path())
    let ofOtherBackbone = try refusal(bytes, other)
    #expect(ofOtherBackbone?.kind == .mismatch && ofOtherBackbone!.sentence.contains("(backbone: found "))
  }

  @Test func aFileThatIsNoStateIsRefused() throws {
    let trainer = try tiny.trainer(statePath: folder.path())
    let none = #expect(throws: TrainingError.self) { try trainer.resume() }
    #expect(none?.kind == .cannotOpen && none?.exitCode == 66 && none?.file == folder.path())
    #expect(try refusal(Array("{}".utf8), trainer)?.sentence == "byte 0: not the state of a training run")
    try FileManager.default.removeItem(atPath: folder.path())
    try FileManager.default.createDirectory(atPath: folder.path(), withIntermediateDirectories: false)
    #expect(throws: TrainingError.self) { try trainer.resume() }
  }

  @Test func aStateOfAnotherReleaseIsNamed() throws {
    var bytes = try stoppedState(TinyTraining.settings(.prompt))
    bytes[13] = 2
    let trainer = try tiny.trainer(TinyTraining.settings(.prompt), statePath: folder.path())
    #expect(
      try refusal(withChecksum(bytes), trainer)?.sentence
        == "byte 13: a state of another release (found version 2, required 1)")
  }
}
