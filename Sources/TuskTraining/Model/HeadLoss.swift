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
  /// `factor` times it, of the encoder's output, in `encoderOutputGradient`.
  /// - Precondition: the task has a head of labels or numbers.
  func headLoss(factor: Float) -> Double {
    guard let head = task.section.head, let firstLinear = head.first else {
      preconditionFailure("an encoder is trained with a head")
    }
    let count = examples.count
    let firstWidth = task.section.linear(at: firstLinear).outWidth
    let loss = outputLoss(head, headOutput(head, firstLinear), factor)
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

  /// [examples, outWidth] that the head makes of the encoder's output.
  func headOutput(_ head: TaskHead, _ first: Int) -> UnsafeMutablePointer<Float> {
    let count = examples.count
    let firstWidth = task.section.linear(at: first).outWidth
    setHeadInput(head.input)
    drop(vectors(.input), count: count * config.dModel, .headInput, slot: config.slots.encoderEnd)
    apply(first, .input, .first)
    activateHead(head.firstActivation, .first, .hidden, count: count * firstWidth)
    guard let second = head.second else { return vectors(.hidden) }
    drop(vectors(.hidden), count: count * firstWidth, .headHidden, slot: config.slots.encoderEnd)
    apply(second, .hidden, .second)
    activateHead(head.secondActivation, .second, .output, count: count * head.outWidth)
    return vectors(.output)
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

  /// The rows of the encoder's output that an example's head takes: one, or all but a prompt's.
  private func headRows(_ input: HeadInput, _ segment: Segment) -> Range<Int> {
    if input == .mean { return segment.start + examples.promptTokens..<segment.start + segment.count }
    let first = segment.start + (task.section.prompt?.firstToken ?? 0)
    return first..<first + 1
  }

  /// input [examples, D] = the vectors of the encoder's output that `input` names.
  private func setHeadInput(_ input: HeadInput) {
    let width = config.dModel
    let x = vectors(.input)
    for example in 0..<examples.count {
      let rows = headRows(input, examples.sources[example])
      let vector = x + example * width
      vector.update(from: encoderOutput + rows.lowerBound * width, count: width)
      guard input == .mean else { continue }
      for row in rows.lowerBound + 1..<rows.upperBound { kernels.add_f32(vector, encoderOutput + row * width, width) }
      kernels.scale_f32(vector, 1 / Float(rows.count), width)
    }
    guard input == .pooler else { return }
    vectors(.poolerInput).update(from: x, count: examples.count * width)
    multiply(setInput(x, rows: examples.count, columns: width), poolerProduct, vectors(.pooled))
    activateHead(.tanh, .pooled, .input, count: examples.count * width)
  }

  private func setHeadInputBackward(_ input: HeadInput) {
    let width = config.dModel
    let dx = vectors(.inputGradient)
    let gradient = encoderOutputGradient
    if input == .pooler {
      slope(.tanh, .pooled, .inputGradient, count: examples.count * width)
      multiplyBackward(vectors(.poolerInput), rows: examples.count, poolerProduct, dx, into: vectors(.input))
      dx.update(from: vectors(.input), count: examples.count * width)
    }
    gradient.update(repeating: 0, count: examples.sourceRows * width)
    for example in 0..<examples.count {
      let rows = headRows(input, examples.sources[example])
      for row in rows {
        kernels.axpy_f32(gradient + row * width, 1 / Float(rows.count), dx + example * width, width)
      }
    }
  }
}
