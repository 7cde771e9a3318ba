import CTuskKernels
import CTuskSystem
import TuskFormat

extension Session {
  /// The section whose head answers for source `source`: the task's, else the backbone's own.
  public func headSection(source: Int = 0) -> TaskSection? {
    runners[source].headTask ?? backboneHead
  }

  /// What the head makes of the source encoded last: [outWidth] logits, numbers or an embedding, as its record says.
  /// Valid until the next source is encoded or the next output made, and no longer than the session.
  /// - Parameter text: which of several that were encoded together.
  /// - Throws: `noHead`.
  /// - Precondition: `source` is the source that has been encoded last.
  public func headOutput(source: Int = 0, text: Int = 0) throws(EngineError) -> UnsafeBufferPointer<Float> {
    guard let section = headSection(source: source), let head = section.head else { throw EngineError(.noHead) }
    precondition(encodedSources[source].count > 0, "nothing has been encoded")
    precondition(text < textCount, "no such text")
    var x = workspace.arena.floats(plan.regions.headVectors)
    var y = x + plan.regions.headWidth
    setHeadInput(head.input, source, texts[text], x)
    if let first = head.first {
      applyLayer(first, head.firstActivation, of: section, x, y)
      swap(&x, &y)
    }
    if let second = head.second {
      applyLayer(second, head.secondActivation, of: section, x, y)
      swap(&x, &y)
    }
    if head.hasUnitLength { scaleToUnitLength(x, head.outWidth) }
    return UnsafeBufferPointer(start: x, count: head.outWidth)
  }

  /// The head's output for people: probabilities of labels, else the numbers themselves: [outWidth]. Valid as the output.
  /// - Throws: `noHead`.
  /// - Precondition: as of `headOutput`.
  public func headScores(source: Int = 0, text: Int = 0) throws(EngineError) -> UnsafeBufferPointer<Float> {
    let output = try headOutput(source: source, text: text)
    let vectors = workspace.arena.floats(plan.regions.headVectors)
    let isFirst = output.baseAddress == UnsafePointer(vectors)
    let scores = isFirst ? vectors + plan.regions.headWidth : vectors
    scores.copy(from: output.baseAddress!, count: output.count)
    switch headSection(source: source)!.head!.output {
    case .exclusiveLabels:
      let total = workspace.kernels.logsumexp_f32(scores, output.count)
      for index in 0..<output.count { scores[index] = tusk_exp_f32(scores[index] - total) }
    case .independentLabels: workspace.kernels.activate_f32(TuskActivationSigmoid, scores, output.count)
    case .numbers, .embedding: break
    }
    return UnsafeBufferPointer(start: scores, count: output.count)
  }

  /// y [out] = activation(x [in] H + b)
  private func applyLayer(
    _ linear: Int, _ activation: Activation, of section: TaskSection, _ x: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
  ) {
    let record = section.linear(at: linear)
    MountedLinear(linear, of: section).apply(
      x, record.inWidth, rows: 1, y, record.outWidth, scratch: workspace.workerScratch(0), workspace.kernels)
    workspace.kernels.activate_f32(TuskActivation(activation.rawValue), y, record.outWidth)
  }

  /// x [D] = the vector of the encoder's output, over `rows`, that `input` names.
  private func setHeadInput(
    _ input: HeadInput, _ source: Int, _ rows: EncodedSource, _ x: UnsafeMutablePointer<Float>
  ) {
    let width = config.dModel
    let output = encoderOutput + rows.firstRow * width
    let first = output + rows.firstToken * width
    switch input {
    case .firstToken: x.copy(from: first, count: width)
    case .pooler:
      multiply(
        workspace.setInput(first, rows: 1, columns: width), weights.matrix(.pooler, .shared), x, yStride: width,
        ProductSite(slot: config.slots.encoderEnd, target: .pooler), RowGroups(source: source, rows: 1))
      workspace.kernels.activate_f32(TuskActivationTanh, x, width)
    case .mean:
      x.update(repeating: 0, count: width)
      for row in 0..<rows.count where !rows.prompt.contains(row) {
        workspace.kernels.add_f32(x, output + row * width, width)
      }
      workspace.kernels.scale_f32(x, 1 / Float(rows.count - rows.prompt.count), width)
    }
  }

  private func scaleToUnitLength(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    var sum: Float = 0
    for index in 0..<count { sum += x[index] * x[index] }
    workspace.kernels.scale_f32(x, 1 / max(tusk_square_root_f32(sum), 1e-12), count)
  }
}
