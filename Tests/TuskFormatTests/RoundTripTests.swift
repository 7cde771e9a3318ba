import Testing

@testable import TuskFormat

@Suite struct RoundTripTests {
  @Test(arguments: [WeightEncoding.float32, .int8Rows], [true, false])
  func aBackboneReadsBackAsWritten(encoding: WeightEncoding, isGated: Bool) throws {
    var config = NanoFiles.config
    config.weightEncoding = encoding
    config.isGated = isGated
    config.hasTiedHead = !isGated
    let file = try NanoFiles.open(NanoFiles.backboneBytes(config))
    var read = try #require(file.config)
    #expect(read.fingerprint != 0)
    read.fingerprint = 0
    #expect(read == config)
    for position in 0..<config.tensorCount {
      let tensor = file.tensor(at: position)
      #expect(tensor.spec == config.tensorSpec(at: position))
      #expect(tensor.sourceChecksum == UInt32(tensor.spec.role.rawValue))
      #expect(config.tensorPosition(tensor.spec.role, tensor.spec.stack, layer: tensor.spec.layer) == position)
      #expect(tensor.data.offset % 64 == 0)
    }
    try file.verify()
  }

  @Test func theFingerprintIsThatOfTheCheckpointNotOfItsEncoding() throws {
    var config = NanoFiles.config
    let int8 = try #require(NanoFiles.open(NanoFiles.backboneBytes(config)).config)
    config.weightEncoding = .float32
    let float32 = try #require(NanoFiles.open(NanoFiles.backboneBytes(config)).config)
    config.normEpsilon = 2e-6
    let other = try #require(NanoFiles.open(NanoFiles.backboneBytes(config)).config)
    #expect(int8.fingerprint == float32.fingerprint)
    #expect(int8.fingerprint != other.fingerprint)
  }

  @Test func aTaskAndABundleReadBackAsWritten() throws {
    let backbone = try NanoFiles.open(NanoFiles.backboneBytes())
    let config = try #require(backbone.config)
    let section = NanoFiles.taskSection(config)
    let taskFile = try NanoFiles.open(
      NanoFiles.written { try TaskWriter.write(section, provenance: nil, path: $0) })
    let task = taskFile.task(at: 0)
    try task.requireFit(to: config)
    try taskFile.verify()
    let other = NanoFiles.taskSection(config, name: "second")
    let second = try NanoFiles.open(NanoFiles.written { try TaskWriter.write(other, provenance: nil, path: $0) })
    let bundle = try NanoFiles.open(
      NanoFiles.written { try TaskWriter.writeBundle(backbone, tasks: [task, second.task(at: 0)], path: $0) })
    try bundle.verify()
    #expect(bundle.taskCount == 2)
    #expect(bundle.config == config)
    #expect(bundle.task(at: 1).name.withSpan { $0.byteCount } == 6)
    let slot = config.slots.slot(.encoder, .feedForward, layer: 0)
    let adapter = try #require(bundle.task(at: 0).adapter(slot: slot))
    #expect(adapter.activation == .gelu)
    let down = task.linear(at: adapter.down)
    let up = task.linear(at: adapter.up)
    #expect(down.rule == up.rule)
    #expect(task.tensor(at: try #require(down.rule)).data.load(4, as: Float.self) == 2)
    #expect(task.slot(at: config.slots.encoderEnd).normTensor != nil)
    #expect(task.slot(at: 0).attachments.isEmpty)
  }
}
