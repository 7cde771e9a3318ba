import CTusk
import Foundation
import Testing

@Suite struct ModelTests {
  private func info(_ model: CModel) throws -> tusk_model_info {
    var info = tusk_model_info()
    info.struct_bytes = MemoryLayout<tusk_model_info>.size
    try #require(tusk_model_get_info(model.pointer, &info) == TUSK_OK)
    return info
  }

  @Test func aFileIsTheSameFromPathDescriptorAndMemory() throws {
    let byPath = try CModel(path: Files.nano)
    let byDescriptor = try CModel()
    let descriptor = open(Files.nano, O_RDONLY)
    #expect(tusk_model_open_descriptor(byDescriptor.pointer, descriptor) == TUSK_OK)
    close(descriptor)
    let byMemory = try CModel()
    let bytes = AlignedBytes(Files.nanoBytes)
    #expect(tusk_model_open_memory(byMemory.pointer, bytes.buffer.baseAddress, bytes.buffer.count) == TUSK_OK)
    let answer = try CSession(byPath).generate("a text")
    for model in [byDescriptor, byMemory] {
      #expect(try info(model).fingerprint == info(byPath).fingerprint)
      #expect(try CSession(model).generate("a text") == answer)
    }
    withExtendedLifetime(bytes) {}
  }

  @Test func tasksAreListedAndFound() throws {
    let model = try DemoModel.open()
    let all = try info(model)
    #expect(all.tasks == 3 && all.architecture == Int32(TUSK_ENCODER_DECODER) && all.width == 256)
    #expect(all.layers == 3 && all.decoder_layers == 2 && all.vocabulary_size == 8000 && all.has_tokenizer)
    for (number, name) in DemoModel.tasks.enumerated() {
      var task = tusk_task_info()
      task.struct_bytes = MemoryLayout<tusk_task_info>.size
      #expect(tusk_model_get_task(model.pointer, Int32(number), &task) == TUSK_OK)
      #expect(task.name.string == name && task.head == Int32(TUSK_HEAD_NONE) && task.bytes > 10_000)
      var found: Int32 = -7
      #expect(tusk_model_find_task(model.pointer, name, name.utf8.count, &found) == TUSK_OK)
      #expect(found == Int32(number))
    }
    var number: Int32 = -7
    #expect(tusk_model_find_task(model.pointer, "iso", 3, &number) == TUSK_ERROR_NO_SUCH_TASK)
    #expect(number == -7, "an output is written only on success")
    var text = tusk_text()
    #expect(tusk_model_get_label(model.pointer, 0, 0, &text) == TUSK_ERROR_NO_SUCH_LABEL)
  }

  @Test func aBackboneIsOpenedOnceAndFirst() throws {
    let model = try CModel()
    #expect(tusk_model_mount_path(model.pointer, DemoModel.path("iso-date")) == TUSK_ERROR_WRONG_ORDER)
    var session: OpaquePointer?
    #expect(tusk_session_create(model.pointer, nil, &session) == TUSK_ERROR_WRONG_ORDER)
    #expect(tusk_model_open_path(model.pointer, DemoModel.path("iso-date")) == TUSK_ERROR_NOT_A_BACKBONE)
    #expect(tusk_model_open_path(model.pointer, "/nonexistent") == TUSK_ERROR_CANNOT_OPEN)
    #expect(model.message.contains("found 2"), "\(model.message)")
    #expect(tusk_model_open_path(model.pointer, "/") == TUSK_ERROR_NOT_REGULAR_FILE)
    #expect(tusk_model_open_descriptor(model.pointer, -1) == TUSK_ERROR_CANNOT_OPEN)
    #expect(tusk_model_open_path(model.pointer, Files.nano) == TUSK_OK)
    #expect(tusk_model_open_path(model.pointer, Files.nano) == TUSK_ERROR_WRONG_ORDER)
  }

  @Test func aTaskOfAnotherBackboneIsNotMounted() throws {
    let model = try CModel(path: DemoModel.path("bert"))
    #expect(tusk_model_mount_path(model.pointer, DemoModel.path("iso-date")) == TUSK_ERROR_OTHER_BACKBONE)
    #expect(model.message.contains("another backbone"))
    #expect(tusk_model_mount_path(model.pointer, DemoModel.path("t5")) == TUSK_ERROR_NO_SUCH_TASK)
    #expect(try info(model).tasks == 0)
  }

  @Test func memoryOfFilesMustBeAligned() throws {
    let model = try CModel()
    let bytes = AlignedBytes(Files.nanoBytes, offset: 8)
    let start = bytes.buffer.baseAddress! + 8
    #expect(tusk_model_open_memory(model.pointer, start, Files.nanoBytes.count) == TUSK_ERROR_MISALIGNED_MEMORY)
    var other: OpaquePointer?
    #expect(tusk_model_create(start, 100_000, &other) == TUSK_ERROR_MISALIGNED_MEMORY)
    #expect(tusk_model_create(nil, 100_000, &other) == TUSK_ERROR_NULL_ARGUMENT)
    #expect(other == nil)
  }

  @Test func brokenFilesGiveAStatusWithThePlace() throws {
    let folder = Files.packageFolder.appendingPathComponent("formats/examples/broken")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".tusk") }
    #expect(names.count > 20)
    var refused = 0
    for name in names {
      let model = try CModel()
      let status = tusk_model_open_path(model.pointer, folder.appendingPathComponent(name).path)
      guard status != tusk_status(TUSK_OK) else { continue }
      refused += 1
      #expect(tusk_status_exit_code(status) == 65, "\(name): \(model.message)")
      #expect(model.message.hasPrefix("byte ") || status == TUSK_ERROR_NOT_A_BACKBONE, "\(name): \(model.message)")
    }
    // Damage that only `verify` looks for, in weights, does not keep a file from being opened.
    #expect(refused >= names.count - 5)
  }

  @Test func everyCutAndManyChangesOfAFileGiveAStatus() throws {
    let whole = Files.nanoBytes
    for length in stride(from: 0, to: whole.count, by: 37) {
      let model = try CModel()
      let bytes = AlignedBytes(Array(whole[..<length]) + [0])
      #expect(tusk_model_open_memory(model.pointer, bytes.buffer.baseAddress, length) == TUSK_ERROR_FORMAT)
    }
    var random = SystemlessRandom(seed: 5)
    for _ in 0..<500 {
      var changed = whole
      changed[random.below(changed.count)] ^= UInt8(1 << random.below(8))
      let bytes = AlignedBytes(changed)
      let model = try CModel()
      guard tusk_model_open_memory(model.pointer, bytes.buffer.baseAddress, bytes.buffer.count) == TUSK_OK else {
        continue
      }
      var session: OpaquePointer?
      if tusk_session_create(model.pointer, nil, &session) == TUSK_OK {
        var answer = tusk_text()
        _ = tusk_session_generate_text(session, "a text", 6, 8, nil, nil, &answer)
        #expect(tusk_session_destroy(session) == TUSK_OK)
      }
    }
  }

  @Test func structuresOfAnotherLengthAreRefused() throws {
    let model = try CModel(path: Files.nano)
    var info = tusk_model_info()
    #expect(tusk_model_get_info(model.pointer, &info) == TUSK_ERROR_STRUCT_BYTES)
    var task = tusk_task_info()
    task.struct_bytes = 3
    #expect(tusk_model_get_task(model.pointer, Int32(TUSK_NO_TASK), &task) == TUSK_ERROR_STRUCT_BYTES)
    var footprint = tusk_footprint()
    #expect(tusk_model_plan_session(model.pointer, nil, &footprint) == TUSK_ERROR_STRUCT_BYTES)
    var options = tusk_session_options()
    var session: OpaquePointer?
    #expect(tusk_session_create(model.pointer, &options, &session) == TUSK_ERROR_STRUCT_BYTES)
  }

  @Test func everyStatusHasItsNameAndGroup() {
    let groups: Set<Int32> = [0, 64, 65, 66, 70, 75]
    var names: Set<String> = []
    for status in Int32(-10)...10_000 {
      let name = String(cString: tusk_status_name(status))
      guard name != "TUSK_ERROR_UNKNOWN" else { continue }
      #expect(groups.contains(tusk_status_exit_code(status)))
      #expect(names.insert(name).inserted)
    }
    #expect(names.count == 34)
    #expect(tusk_library_abi_version() == TUSK_ABI_VERSION)
  }
}

/// A generator whose numbers are the same everywhere.
struct SystemlessRandom {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Uniform in 0 ..< limit.
  mutating func below(_ limit: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % limit
  }

  mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
}
