/// Where a training run is: with the numbers of the task and their moments enough to go on bit for bit.
struct TrainingState: Codable, Equatable {
  /// What the run has in common with any that goes on with it: names and values for people.
  var identity: [String: String]
  /// Source rows that pass the model together; others add the same gradients up in another order.
  var packRows: Int
  /// Steps done.
  var step: Int
  /// Epochs that are done and evaluated.
  var epochsDone = 0
  /// The epoch whose task is kept, from 1 on, and its evaluation, if there was one.
  var bestEpoch: Int?
  var bestValue: Double?
  var bestMetrics: [String: Double] = [:]
  /// Sum of the losses of the present epoch's steps so far.
  var epochLoss = 0.0

  /// Whether the counts fit each other and a run of `epochs` epochs of `stepsPerEpoch` steps.
  func isConsistent(epochs: Int, stepsPerEpoch: Int) -> Bool {
    guard (0...epochs).contains(epochsDone), bestEpoch.map({ (1...epochs).contains($0) && $0 <= epochsDone }) ?? true,
      bestEpoch != nil || bestValue == nil
    else { return false }
    let first = epochsDone * stepsPerEpoch
    return (first...first + (epochsDone < epochs ? stepsPerEpoch : 0)).contains(step)
  }
}
