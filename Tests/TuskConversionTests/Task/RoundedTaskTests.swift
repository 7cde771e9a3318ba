import Testing
import TuskFormat

@testable import TuskConversion

/// Tasks with int8 rows.
@Suite struct RoundedTaskTests {
  @Test func denseMatricesOfAdaptersBecomeRowsOfCodes() throws {
    let folder = try AdapterFolder("adapters_bert_double_seq_bn")
    let backbone = try ConvertedBackbone(folder.backbone)
    let exact = try OpenTask(folder.directory, on: backbone)
    let task = try OpenTask(folder.directory, on: backbone, weights: .int8Rows)
    let adapter = try #require(task.adapter(.encoder, .feedForward, 1))
    let linear = task.section.linear(at: adapter.down)
    let full = exact.values(exact.section.linear(at: try #require(exact.adapter(.encoder, .feedForward, 1)).down).full)
    let scales = task.values(linear.scales)
    let data = task.section.tensor(at: try #require(linear.codes)).data
    for row in 0..<linear.outWidth {
      for column in 0..<linear.inWidth {
        let code = data.load(row * linear.inWidth.roundedUp(to: 64) + column, as: Int8.self)
        // Half a step, and what rounding the product of code and scale adds.
        #expect(abs(Float(code) * scales[row] - full[column * linear.outWidth + row]) <= 0.5001 * scales[row])
      }
    }
    #expect(linear.full == nil && linear.bias != nil)
    #expect(
      task.conversion.notes.contains { $0.hasPrefix("int8 rounding of the adapters' matrices: relative error 0.") })
    // The head keeps its numbers.
    #expect(task.count(.full) == exact.section.head.map { $0.outWidth * backbone.file.config!.dModel } ?? 0)
  }

  @Test func aTaskWithoutDenseMatricesSaysThatNothingChanged() throws {
    let folder = try AdapterFolder("peft_t5_lora_qv")
    let backbone = try ConvertedBackbone(folder.backbone)
    let task = try OpenTask(folder.directory, on: backbone, weights: .int8Rows)
    #expect(try task.conversion.section == OpenTask(folder.directory, on: backbone).conversion.section)
    #expect(task.conversion.notes.contains { $0.contains("changed nothing") })
  }
}
