import CTuskBackward
import CTuskKernels
import TuskEngine
import TuskFormat

/// What passes the head of an encoder, [examples, headWidth] each.
enum HeadVectors: Int, CaseIterable {
  /// What enters the pooler, and its activation.
  case poolerInput
  case pooled
  /// What enters the first layer, and its gradient.
  case input
  case inputGradient
  /// What enters and what leaves the first activation.
  case first
  case hidden
  case hiddenGradient
  /// What enters the second activation; logits or numbers, and their gradient in their place.
  case second
  case output

  static var count: Int { allCases.count }
}

extension TrainingModel {
  /// The sum of the losses of all examples: cross-entropy of labels, squares of differences of numbers. Leaves the gradient of
  /// `factor` times it, of the stream behind the last block, in `streamGradient`.
  /// - Precondition: the task has a head of labels or numbers.
  func headLoss(factor: Float) -> Double {
    guard let head = task.section.head, let firstLinear = head.first else {
      preconditionFailure("an encoder is trained with a head")
    }
    let count = examples.count
    let firstWidth = task.section.linear(at: firstLinear).outWidth
    setHeadInput(head.input)
    drop(vectors(.input), count: count * config.dModel, .headInput, slot: config.slots.encoderEnd)
    apply(firstLinear, .input, .first)
    var output = HeadVectors.hidden
    activateHead(head.firstActivation, .first, .hidden, count: count * firstWidth)
    if let second = head.second {
      drop(vectors(.hidden), count: count * firstWidth, .headHidden, slot: config.slots.encoderEnd)
      apply(second, .hidden, .second)
      activateHead(head.secondActivation, .second, .output, count: count * head.outWidth)
      output = .output
    }
    let loss = outputLoss(head, vectors(output), factor)
    if let second = head.second {
      slope(head.secondActivation, .second, .output, count: count * head.outWidth)
      applyBackward(second, .hidden, .output, into: .hiddenGradient)
      drop(vectors(.hiddenGradient), count: count * firstWidth, .headHidden, slot: config.slots.encoderEnd)
      slope(head.firstActivation, .first, .hiddenGradient, count: count * firstWidth)
      applyBackward(firstLinear, .input, .hiddenGradient, into: .inputGradient)
    } else {
      slope(head.firstActivation, .first, .hidden, count: count * firstWidth)
      applyBackward(firstLinear, .input, .hidden, into: .inputGradient)
    }
    drop(vectors(.inputGradient), count: count * config.dModel, .headInput, slot: config.slots.encoderEnd)
    setHeadInputBackward(head.input)
    return loss
  }

  private func vectors(_ which: HeadVectors) -> UnsafeMutablePointer<Float> {
    arena.floats(regions.head) + which.rawValue * plan.rows.examples * regions.headWidth
  }

  /// The losses of `output` [examples, outWidth], and their gradients in its place.
  private func outputLoss(_ head: TaskHead, _ output: UnsafeMutablePointer<Float>, _ factor: Float) -> Double {
    var loss = 0.0
    for example in 0..<examples.count {
      let row = output + example * head.outWidth
      if head.output == .numbers {
        let difference = row[0] - examples.numbers[example]
        loss += Double(difference) * Double(difference)
        row[0] = 2 * difference * factor
      } else {
        loss += back.cross_entropy(row, head.outWidth, examples.labels[example], factor)
      }
    }
    return loss
  }

  private func apply(_ linear: Int, _ x: HeadVectors, _ y: HeadVectors) {
    let record = task.section.linear(at: linear)
    MountedLinear(linear, of: task.section).apply(
      vectors(x), record.inWidth, rows: examples.count, vectors(y), record.outWidth, scratch: linearScratch(0), kernels)
  }

  private func applyBackward(_ linear: Int, _ x: HeadVectors, _ dy: HeadVectors, into dx: HeadVectors) {
    let record = task.section.linear(at: linear)
    var gradient = task.kroneckerGradient(linear)
    vectors(dx).update(repeating: 0, count: examples.count * record.inWidth)
    back.kronecker(
      &gradient, vectors(x), record.inWidth, examples.count, vectors(dy), record.outWidth, vectors(dx), record.inWidth,
      linearScratch(0))
  }

  private func activateHead(_ activation: Activation, _ x: HeadVectors, _ y: HeadVectors, count: Int) {
    vectors(y).update(from: vectors(x), count: count)
    kernels.activate_f32(TuskActivation(activation.rawValue), vectors(y), count)
  }

  /// The gradient `dy` of what left the activation becomes that of `x`, which entered it.
  private func slope(_ activation: Activation, _ x: HeadVectors, _ dy: HeadVectors, count: Int) {
    back.activate(TuskActivation(activation.rawValue), vectors(x), vectors(dy), count)
  }

  private var poolerProduct: TrainedProduct {
    let weight = weights.matrix(.pooler, .shared)
    return TrainedProduct(
      weight: weight, slot: config.slots.encoderEnd, target: .pooler, width: weight.rows,
      weightGradient: backbone?.gradient(.pooler, .shared), biasGradient: backbone?.gradient(.poolerBias, .shared))
  }

  /// input [examples, D] = the vectors of the encoder's output that `input` names.
  private func setHeadInput(_ input: HeadInput) {
    let width = config.dModel
    let x = vectors(.input)
    for (example, segment) in examples.sources.enumerated() {
      let first = encoderExit + segment.start * width
      let row = x + example * width
      row.update(from: first, count: width)
      guard input == .mean else { continue }
      for token in 1..<max(segment.count, 1) { kernels.add_f32(row, first + token * width, width) }
      kernels.scale_f32(row, 1 / Float(segment.count), width)
    }
    guard input == .pooler else { return }
    vectors(.poolerInput).update(from: x, count: examples.count * width)
    multiply(setInput(x, rows: examples.count, columns: width), poolerProduct, vectors(.pooled))
    activateHead(.tanh, .pooled, .input, count: examples.count * width)
  }

  private func setHeadInputBackward(_ input: HeadInput) {
    let width = config.dModel
    let dx = vectors(.inputGradient)
    let streamGradient = arena.floats(regions.streamGradient)
    if input == .pooler {
      slope(.tanh, .pooled, .inputGradient, count: examples.count * width)
      multiplyBackward(vectors(.poolerInput), rows: examples.count, poolerProduct, dx, into: vectors(.input))
      dx.update(from: vectors(.input), count: examples.count * width)
    }
    streamGradient.update(repeating: 0, count: examples.sourceRows * width)
    for (example, segment) in examples.sources.enumerated() {
      let tokens = input == .mean ? segment.count : 1
      for token in 0..<tokens {
        kernels.axpy_f32(
          streamGradient + (segment.start + token) * width, 1 / Float(tokens), dx + example * width, width)
      }
    }
  }
}
