import Foundation
import Testing
import TuskEngine
import TuskFormat

/// Planned bytes by category against `Tests/Thresholds/plan.json`: beyond 3 % in either direction is a failure, so that a
/// saving is recorded as well as a loss.
@Suite struct PlanThresholdTests {
  private struct Job: Decodable {
    let model: String
    let sourceTokens: Int
    let targetTokens: Int
    let batch: Int
    let beams: Int
    let keyValueCache: Int
    let activations: Int
  }

  private static func config(_ model: String) throws -> BackboneConfig {
    let shapes = [
      "t5-small": (512, 2048, 8, 6), "t5-base": (768, 3072, 12, 12), "t5-large": (1024, 4096, 16, 24),
    ]
    let (dModel, dFF, headCount, layerCount) = try #require(shapes[model])
    return BackboneConfig(
      dModel: dModel, dFF: dFF, dKV: 64, headCount: headCount, layerCount: layerCount, decoderLayerCount: layerCount,
      vocabularySize: 32_128, bucketCount: 32, maxDistance: 128, normEpsilon: 1e-6, activation: .relu, isGated: false,
      hasTiedHead: true, logitScale: 1, padId: 0, eosId: 1, decoderStartId: 0, weightEncoding: .int8Rows)
  }

  @Test func plansStayWithinTheirThresholds() throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Thresholds/plan.json")
    let jobs = try JSONDecoder().decode([Job].self, from: Data(contentsOf: path))
    #expect(!jobs.isEmpty)
    for job in jobs {
      let request = PlanRequest(
        sourceTokens: job.sourceTokens, targetTokens: job.targetTokens, batch: job.batch, beams: job.beams)
      let plan = try MemoryPlan(config: Self.config(job.model), request: request)
      for (category, threshold) in [
        (MemoryCategory.keyValueCache, job.keyValueCache), (.activations, job.activations),
      ] {
        let bytes = plan.bytes(category)
        let deviation = abs(Double(bytes) / Double(threshold) - 1)
        #expect(
          deviation <= 0.03, "\(job.model) S \(job.sourceTokens): \(category.name) is \(bytes), threshold \(threshold)")
      }
    }
  }

  /// An adapter's dense matrix would be D x W; what a plan reserves for it grows with D + W.
  @Test func workingMemoryOfAdaptersDoesNotGrowWithTheirMatrices() throws {
    func planned(dModel: Int, bottleneckWidth: Int) throws -> Int {
      let config = RandomModel.config(dModel: dModel, layers: 1)
      var request = PlanRequest(sourceTokens: 16, targetTokens: 2)
      let without = try MemoryPlan(config: config, request: request).privateBytes
      request.reserve(for: try RandomModel.task(config, bottleneckWidth: bottleneckWidth))
      return try MemoryPlan(config: config, request: request).privateBytes - without
    }
    let base = try planned(dModel: 256, bottleneckWidth: 256)
    let wide = try planned(dModel: 256, bottleneckWidth: 1024)
    let deep = try planned(dModel: 2048, bottleneckWidth: 1024)
    // 8 rows of W floats beyond the 128 every plan has room for.
    #expect(base == 8 * (256 - 128) * 4)
    #expect(wide == 8 * (1024 - 128) * 4)
    #expect(deep == wide)
  }
}
