import ArgumentParser
import Foundation
import Logging
import TuskConversion
import TuskFormat

struct ConvertBackbone: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backbone",
    abstract: "Convert a Hugging Face directory.",
    discussion: """
      Takes T5, BERT, RoBERTa, XLM-RoBERTa, CamemBERT, DistilBERT and ELECTRA, and encoders of sentence-transformers. \
      Reads config.json, the weights (safetensors, sharded or not, or pytorch_model.bin) and the tokenizer, and writes one file. Prints \
      what rounding to int8 did to each kind of matrix.

        tusk convert backbone ./t5-base --output t5.tusk
        tusk convert backbone ./flan-t5-small --output flan.tusk --weights float32
      """)

  @Argument(help: "The checkpoint's directory.", completion: .directory)
  var checkpoint: String

  @Option(name: .shortAndLong, help: "The backbone to write.", completion: .file(extensions: ["tusk"]))
  var output: String

  @Option(help: "Precision of the matrices: int8, or float32 for comparison with PyTorch.")
  var weights: WeightEncoding = .int8Rows

  func run() throws {
    try requireDistinct(output: output, inputs: files(in: checkpoint))
    Interruption.watch()
    let conversion: BackboneConversion
    let outcome: BackboneConversion.Outcome
    var progress = ProgressBar(totalBytes: 0)
    do throws(ConversionError) {
      conversion = try BackboneConversion(directory: checkpoint, weights: weights)
      for note in conversion.notes { log.notice("\(note)") }
      progress = ProgressBar(totalBytes: conversion.sourceByteCount)
      outcome = try conversion.write(to: output) { step in
        progress.show(doneBytes: step.doneBytes, step.tensor)
        return !Interruption.isRequested
      }
    } catch {
      progress.finish()
      throw Failure(error)
    }
    progress.finish()
    for line in distortionLines(outcome.distortions) { try StandardOutput.write(line: line) }
    try StandardOutput.write(
      line: "\(output.printable): \(outcome.config.parameterCount.grouped) parameters, "
        + "\(outcome.fileByteCount.grouped) bytes, fingerprint \(outcome.config.fingerprint.hexadecimal)")
  }

  /// Empty for a float32 file.
  private func distortionLines(_ distortions: [Distortion]) -> [String] {
    guard !distortions.isEmpty else { return [] }
    var table = Table("int8 rounding", "tensors", "relative error", "worst row", "zeros", "largest error")
    for distortion in distortions {
      table.add(
        "\(distortion.role.name)", distortion.tensorCount.grouped,
        String(format: "%.3f %%", 100 * distortion.relativeError),
        distortion.worstRow.map { String(format: "%.3f %%", 100 * $0.relativeError) } ?? "-",
        String(format: "%.1f %%", 100 * distortion.zeroShare), String(format: "%.2e", distortion.largestError))
    }
    return table.lines
  }
}
