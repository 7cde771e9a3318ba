import CTusk
import Foundation
import Testing

@Suite struct SessionTests {
  @Test func answersAreThoseOfPyTorch() throws {
    let model = try DemoModel.open()
    let session = try CSession(model)
    for answer in try DemoAnswer.first(5) {
      let task = answer.task.map { DemoModel.tasks.firstIndex(of: $0)! } ?? Int(TUSK_NO_TASK)
      #expect(tusk_session_set_task(session.pointer, Int32(task)) == TUSK_OK)
      #expect(try session.generate(answer.sentence) == answer.text)
      var ids = tusk_tokens()
      #expect(
        tusk_session_tokenize_text(session.pointer, answer.sentence, answer.sentence.utf8.count, nil, 0, &ids)
          == TUSK_OK)
      #expect(ids.idArray == answer.sourceIds)
      #expect(
        tusk_session_generate_ids(
          session.pointer, answer.sourceIds, answer.sourceIds.count, 0, nil, nil, &ids) == TUSK_OK)
      #expect(ids.idArray == answer.ids && ids.types == nil)
      var text = tusk_text()
      #expect(tusk_session_decode_ids(session.pointer, answer.ids, answer.ids.count, &text) == TUSK_OK)
      #expect(text.string == answer.text)
    }
  }

  /// What a callback got, and how many tokens it wants.
  private final class Seen {
    var ids: [Int32] = []
    var text = ""
    var limit = Int.max
    var session: OpaquePointer?
    var statusInside: tusk_status = 0
  }

  private let collect: tusk_token_callback = { context, id, text, count in
    let seen = Unmanaged<Seen>.fromOpaque(context!).takeUnretainedValue()
    seen.ids.append(id)
    seen.text += String(decoding: UnsafeRawBufferPointer(start: text, count: count), as: UTF8.self)
    seen.statusInside = tusk_session_set_task(seen.session, 0)
    return seen.ids.count < seen.limit
  }

  @Test(arguments: [1, 4]) func aCallbackSeesEveryTokenAndCanEnd(beams: Int32) throws {
    let model = try DemoModel.open()
    var options = tusk_session_options()
    options.beams = beams
    let session = try CSession(model, options)
    let text = "It ended on the third of June, nineteen ninety-eight."
    let whole = try session.generate(text)
    for limit in [Int.max, 3] {
      let seen = Seen()
      seen.limit = limit
      seen.session = session.pointer
      var answer = tusk_text()
      let context = Unmanaged.passUnretained(seen).toOpaque()
      #expect(
        tusk_session_generate_text(session.pointer, text, text.utf8.count, 0, collect, context, &answer) == TUSK_OK)
      #expect(seen.text == answer.string)
      #expect(limit == 3 ? seen.ids.count == 3 && whole.hasPrefix(seen.text) : seen.text == whole && seen.ids.last == 1)
      #expect(seen.statusInside == TUSK_ERROR_IN_USE)
    }
  }

  @Test func stepsGiveTheGreedyAnswer() throws {
    let session = try CSession(try CModel(path: DemoModel.path("t5")))
    let expected = try #require(try DemoAnswer.first(1).first { $0.task == nil })
    #expect(
      tusk_session_encode_ids(session.pointer, expected.sourceIds, nil, expected.sourceIds.count) == TUSK_OK)
    var hidden = tusk_matrix()
    #expect(tusk_session_get_hidden(session.pointer, &hidden) == TUSK_OK)
    #expect(hidden.rows == expected.sourceIds.count && hidden.columns == 256)
    #expect(hidden.array.allSatisfy { $0.isFinite })
    var logits = tusk_matrix()
    #expect(tusk_session_step_token(session.pointer, 0, &logits) == TUSK_ERROR_WRONG_ORDER)
    for _ in 0..<2 {
      #expect(tusk_session_start_decoding(session.pointer) == TUSK_OK)
      var found: [Int32] = []
      var id: Int32 = 0
      while id != 1 {
        #expect(tusk_session_step_token(session.pointer, id, &logits) == TUSK_OK)
        #expect(logits.rows == 1 && logits.columns == 8000)
        let values = logits.array
        id = Int32(values.firstIndex(of: values.max()!)!)
        found.append(id)
      }
      #expect(found == expected.ids)
    }
    #expect(tusk_session_get_hidden(session.pointer, &hidden) == TUSK_ERROR_WRONG_ORDER)
  }

  @Test func aHeadGivesLogitsAndScores() throws {
    let session = try CSession(try CModel(path: DemoModel.path("bert")))
    let ids: [Int32] = [2, 11, 17, 23, 3]
    var outputs = tusk_matrix()
    #expect(tusk_session_get_outputs(session.pointer, &outputs) == TUSK_ERROR_WRONG_ORDER)
    #expect(tusk_session_encode_ids(session.pointer, ids, [0, 0, 0, 1, 1], 5) == TUSK_OK)
    #expect(tusk_session_get_outputs(session.pointer, &outputs) == TUSK_OK)
    let logits = outputs.array
    #expect(tusk_session_get_scores(session.pointer, &outputs) == TUSK_OK)
    #expect(logits.count > 1 && logits.count == outputs.columns)
    for (score, logit) in zip(outputs.array, logits) { #expect(abs(score - 1 / (1 + exp(-logit))) < 1e-6) }
    #expect(tusk_session_encode_ids(session.pointer, ids, [0, 0, 0, 9, 1], 5) == TUSK_ERROR_TYPE_OUT_OF_RANGE)
    #expect(tusk_session_start_decoding(session.pointer) == TUSK_ERROR_NO_DECODER)
    #expect(tusk_session_classify_text(session.pointer, "a", 1, nil, 0, &outputs, nil) == TUSK_ERROR_NO_TOKENIZER)
    #expect(tusk_session_embed_text(session.pointer, "a", 1, &outputs) == TUSK_ERROR_NO_HEAD)
  }

  @Test func aBudgetIsMetOrTheSmallestOneNamed() throws {
    let model = try DemoModel.open()
    var options = tusk_session_options()
    options.struct_bytes = MemoryLayout<tusk_session_options>.size
    options.budget_bytes = 1000
    var footprint = tusk_footprint()
    footprint.struct_bytes = MemoryLayout<tusk_footprint>.size
    #expect(tusk_model_plan_session(model.pointer, &options, &footprint) == TUSK_ERROR_BUDGET)
    let smallest = footprint.private_bytes
    #expect(model.message.hasSuffix("required \(smallest)"))
    options.budget_bytes = smallest - 1
    #expect(tusk_model_plan_session(model.pointer, &options, &footprint) == TUSK_ERROR_BUDGET)
    options.budget_bytes = smallest
    #expect(tusk_model_plan_session(model.pointer, &options, &footprint) == TUSK_OK)
    #expect(footprint.private_bytes == smallest)
    let parts = footprint.key_value_cache + footprint.activations + footprint.tokenizer + footprint.runtime_floor
    #expect(parts == smallest)
    #expect(footprint.source_tokens == 512 && footprint.target_tokens == 64)
    #expect(footprint.mapped_backbone > 5_000_000 && footprint.mapped_tasks > 90_000)
    let session = try CSession(model, options)
    var own = tusk_footprint()
    own.struct_bytes = MemoryLayout<tusk_footprint>.size
    #expect(tusk_session_get_footprint(session.pointer, &own) == TUSK_OK)
    #expect(own.session_bytes == footprint.session_bytes && own.private_bytes == smallest)
  }

  @Test func aSessionWorksInTheCallersMemory() throws {
    let model = try DemoModel.open()
    let text = "It ended on the third of June, nineteen ninety-eight."
    let expected = try CSession(model).generate(text)
    var footprint = tusk_footprint()
    footprint.struct_bytes = MemoryLayout<tusk_footprint>.size
    #expect(tusk_model_plan_session(model.pointer, nil, &footprint) == TUSK_OK)
    let memory = AlignedBytes(count: Int(footprint.session_bytes))
    memset(memory.buffer.baseAddress!, 0xA5, memory.buffer.count)
    var options = tusk_session_options()
    options.struct_bytes = MemoryLayout<tusk_session_options>.size
    options.memory = memory.buffer.baseAddress
    var session: OpaquePointer?
    options.memory_bytes = memory.buffer.count - 1
    #expect(tusk_session_create(model.pointer, &options, &session) == TUSK_ERROR_MEMORY_TOO_SMALL)
    options.memory_bytes = memory.buffer.count
    #expect(try CSession(model, options).generate(text) == expected)
    options.memory = memory.buffer.baseAddress! + 1
    #expect(tusk_session_create(model.pointer, &options, &session) == TUSK_ERROR_MISALIGNED_MEMORY)
    #expect(session == nil)
  }

  @Test func optionsOutOfRangeAreRefused() throws {
    let model = try CModel(path: Files.nano)
    func status(_ change: (inout tusk_session_options) -> Void) -> tusk_status {
      var options = tusk_session_options()
      options.struct_bytes = MemoryLayout<tusk_session_options>.size
      change(&options)
      var session: OpaquePointer?
      let status = tusk_session_create(model.pointer, &options, &session)
      if let session { #expect(tusk_session_destroy(session) == TUSK_OK) }
      return status
    }
    for value in [-1, Int32.min, Int32.max, 2_000_000] {
      #expect(status { $0.source_tokens = value } == TUSK_ERROR_INVALID_ARGUMENT)
      #expect(status { $0.target_tokens = value } == TUSK_ERROR_INVALID_ARGUMENT)
      #expect(status { $0.beams = value } == TUSK_ERROR_INVALID_ARGUMENT)
      #expect(status { $0.threads = value } == TUSK_ERROR_INVALID_ARGUMENT)
    }
    #expect(status { $0.text_bytes = .max } == TUSK_ERROR_INVALID_ARGUMENT)
    #expect(status { $0.memory_bytes = 1 << 40 } == TUSK_ERROR_NULL_ARGUMENT)
    #expect("sse9".withCString { name in status { $0.isa = name } } == TUSK_ERROR_INVALID_ARGUMENT)
    #expect("portable".withCString { name in status { $0.isa = name } } == TUSK_OK)
    #expect(status { $0.budget_bytes = .max } == TUSK_OK)
  }

  @Test func longSourcesAreRefusedOrCut() throws {
    let model = try DemoModel.open()
    let text = String(repeating: "three chairs ", count: 40)
    var options = tusk_session_options()
    options.source_tokens = 16
    let strict = try CSession(model, options)
    #expect(tusk_session_encode_text(strict.pointer, text, text.utf8.count, nil, 0) == TUSK_ERROR_SOURCE_TOO_LONG)
    var tokens = tusk_tokens()
    #expect(tusk_session_tokenize_text(strict.pointer, text, text.utf8.count, nil, 0, &tokens) == TUSK_OK)
    #expect(tokens.count > 16)
    options.truncates = true
    let cutting = try CSession(model, options)
    #expect(tusk_session_tokenize_text(cutting.pointer, text, text.utf8.count, nil, 0, &tokens) == TUSK_OK)
    #expect(tokens.count == 16 && tokens.idArray.last == 1)
    #expect(tusk_session_encode_text(cutting.pointer, text, text.utf8.count, nil, 0) == TUSK_OK)
    #expect(tusk_session_set_task(cutting.pointer, 1) == TUSK_OK)
    var hidden = tusk_matrix()
    #expect(tusk_session_get_hidden(cutting.pointer, &hidden) == TUSK_ERROR_WRONG_ORDER)
  }

  @Test func tasksActOneBehindTheOther() throws {
    let session = try CSession(try DemoModel.open())
    func logits(_ tasks: [Int32]) throws -> [Float] {
      try #require(tusk_session_set_tasks(session.pointer, tasks, tasks.count) == TUSK_OK, "\(session.message)")
      var matrix = tusk_matrix()
      #expect(tusk_session_encode_text(session.pointer, "twelve chairs", 13, nil, 0) == TUSK_OK)
      #expect(tusk_session_start_decoding(session.pointer) == TUSK_OK)
      #expect(tusk_session_step_token(session.pointer, 0, &matrix) == TUSK_OK)
      return matrix.array
    }
    let alone = try logits([])
    let first = try logits([0])
    let both = try logits([0, 1])
    #expect(alone != first && both != first)
    #expect(try logits([1, 0]) != both)
    #expect(try logits([0, 1]) == both)
    #expect(tusk_session_set_tasks(session.pointer, [0, 9], 2) == TUSK_ERROR_NO_SUCH_TASK)
    #expect(tusk_session_set_tasks(session.pointer, [0, Int32(TUSK_NO_TASK)], 2) == TUSK_ERROR_INVALID_ARGUMENT)
    let many = [Int32](repeating: 0, count: 1000)
    #expect(tusk_session_set_tasks(session.pointer, many, many.count) == TUSK_ERROR_INVALID_ARGUMENT)
    #expect(tusk_session_set_task(session.pointer, 0) == TUSK_OK)
    #expect(try logits([0]) == first)
  }

  @Test func aModelWithSessionsStays() throws {
    let model = try CModel(path: Files.nano)
    let session = try CSession(model)
    #expect(tusk_model_destroy(model.pointer) == TUSK_ERROR_IN_USE)
    #expect(try session.generate("a text").isEmpty == false)
  }

  @Test func sessionsOfOneModelWorkInParallel() throws {
    let model = try DemoModel.open()
    let answers = try DemoAnswer.first(4).filter { $0.task == "iso-date" }
    let failures = ParallelFailures()
    // Each is used by one thread.
    nonisolated(unsafe) let sessions = try (0..<4).map { _ in try CSession(model) }
    DispatchQueue.concurrentPerform(iterations: 4) { index in
      let session = sessions[index]
      guard tusk_session_set_task(session.pointer, 0) == TUSK_OK else { return failures.add() }
      for _ in 0..<3 {
        for answer in answers where (try? session.generate(answer.sentence)) != answer.text { failures.add() }
      }
    }
    #expect(failures.count == 0)
  }
}

/// A counter for threads.
private final class ParallelFailures: @unchecked Sendable {
  private let lock = NSLock()
  private var failures = 0

  func add() { lock.withLock { failures += 1 } }

  var count: Int { lock.withLock { failures } }
}
