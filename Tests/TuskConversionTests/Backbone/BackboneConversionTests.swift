import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

@Suite struct BackboneConversionTests {
  @Test(arguments: ["t5_v10", "t5_v11"], [WeightEncoding.int8Rows, .float32])
  func everyValueArrives(name: String, weights: WeightEncoding) throws {
    let directory = golden("backbones/" + name)
    let backbone = try ConvertedBackbone(directory, weights: weights)
    let checkpoint = try Checkpoint.open(directory: directory)
    let config = try #require(backbone.file.config)
    for position in 0..<config.tensorCount {
      let tensor = backbone.file.tensor(at: position)
      let source = try checkpoint.readAll(try #require(checkpoint.tensor(T5Names.name(of: tensor.spec))))
      for row in 0..<tensor.spec.rows {
        for column in 0..<tensor.spec.columns {
          let value = source[row * tensor.spec.columns + column]
          if tensor.spec.encoding == .float32 {
            #expect(tensor.data.load(row * tensor.spec.rowStrideBytes + 4 * column, as: Float.self) == value)
          } else {
            let code = tensor.data.load(row * tensor.spec.rowStrideBytes + column, as: Int8.self)
            let scale = tensor.scales.load(4 * row, as: Float.self)
            // Rounding to the nearest multiple of the scale errs by half of it; 1e-4 of that is float32 rounding.
            #expect(abs(Float(code) * scale - value) <= 0.50005 * scale)
          }
        }
      }
    }
  }

  @Test(arguments: [("t5_v10", true), ("t5_v11", false)])
  func theConfigurationIsThatOfTheDirectory(name: String, isTied: Bool) throws {
    let config = try BackboneConversion(directory: golden("backbones/" + name)).config
    #expect(config.hasTiedHead == isTied)
    #expect(config.isGated == !isTied)
    #expect(config.activation == (isTied ? .relu : .geluNew))
    #expect(config.logitScale == (isTied ? 0.125 : 1))
    #expect(config.innerWidth == (isTied ? 64 : 48))
    #expect(config.decoderLayerCount == (isTied ? 2 : 1))
    #expect(config.maxDistance == (isTied ? 128 : 20))
  }

  @Test func bothFileFormatsAndBothEncodingsHaveOneFingerprint() throws {
    let directory = golden("backbones/t5_v10")
    let scratch = try ScratchDirectory()
    for name in ["config.json", "pytorch_model.bin"] {
      try FileManager.default.copyItem(atPath: directory + "/" + name, toPath: scratch.path + "/" + name)
    }
    let fingerprints = try [
      ConvertedBackbone(directory), ConvertedBackbone(directory, weights: .float32), ConvertedBackbone(scratch.path),
    ].map { $0.file.config?.fingerprint }
    #expect(Set(fingerprints).count == 1)
    let other = try ConvertedBackbone(golden("backbones/t5_v11"))
    #expect(other.file.config?.fingerprint != fingerprints[0])
  }

  @Test func distortionIsThatOfTheFile() throws {
    let outcome = try ConvertedBackbone(golden("backbones/t5_v10")).outcome
    #expect(outcome.distortions.first?.role == .embedding)
    // The embedding, six attentions of four matrices, four feed-forwards of two.
    let tensorCount = outcome.distortions.reduce(0) { $0 + $1.tensorCount }
    #expect(tensorCount == 33)
    for distortion in outcome.distortions {
      // Uniform rounding of rows of 64 normal values: about (max / 127) / sqrt(12) of their spread.
      #expect((0.004...0.008).contains(distortion.relativeError))
      #expect(distortion.worstRow.map { $0.relativeError >= distortion.relativeError } == true)
    }
    #expect(try ConvertedBackbone(golden("backbones/t5_v10"), weights: .float32).outcome.distortions.isEmpty)
  }

  @Test func anAuthorsDirectoryGivesItsBackboneAndSaysWhoseTheNormsAre() throws {
    let conversion = try BackboneConversion(directory: golden("orig/t5_v10_compacter/output_dir"))
    #expect(conversion.notes.contains { $0.contains("65 tensors of adapters") })
    #expect(conversion.notes.contains { $0.contains("belong to that task") })
  }

  @Test func stoppingLeavesTheTargetAlone() throws {
    let scratch = try ScratchDirectory()
    let path = try scratch.write([1, 2, 3], as: "old.tusk")
    let conversion = try BackboneConversion(directory: golden("backbones/t5_v10"))
    var calls = 0
    let error = conversionError { () throws(ConversionError) in
      try conversion.write(to: path) { progress in
        calls += 1
        #expect(progress.doneBytes <= progress.totalBytes)
        return calls < 9
      }
    }
    #expect(error?.kind == .cancelled)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2, 3]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["old.tusk"])
  }

  @Test func theOutputIsNoInput() throws {
    try CheckpointVariant().withDirectory { directory in
      let link = directory + "/link"
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: directory + "/model.safetensors")
      let conversion = try BackboneConversion(directory: directory)
      #expect(conversionError { () throws(ConversionError) in try conversion.write(to: link) }?.kind == .mismatch)
    }
  }
}
