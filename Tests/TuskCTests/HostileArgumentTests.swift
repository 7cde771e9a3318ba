import CTusk
import Foundation
import Testing

/// Every function with arguments nobody should pass: a status comes back, whatever they are.
@Suite struct HostileArgumentTests {
  @Test func nullIsRefusedByEveryFunction() throws {
    let model = try CModel(path: Files.nano)
    let session = try CSession(model)
    let (m, s) = (model.pointer, session.pointer)
    var info = tusk_model_info()
    var task = tusk_task_info()
    var footprint = tusk_footprint()
    var text = tusk_text()
    var tokens = tusk_tokens()
    var matrix = tusk_matrix()
    var number: Int32 = 0
    var handle: OpaquePointer?
    let statuses = [
      tusk_model_create(nil, 0, nil), tusk_model_open_path(nil, "a"), tusk_model_open_path(m, nil),
      tusk_model_open_descriptor(nil, 0), tusk_model_open_memory(nil, "a", 1), tusk_model_open_memory(m, nil, 64),
      tusk_model_mount_path(nil, "a"), tusk_model_mount_path(m, nil), tusk_model_mount_descriptor(nil, 0),
      tusk_model_mount_memory(nil, "a", 1), tusk_model_mount_memory(m, nil, 64), tusk_model_get_info(nil, &info),
      tusk_model_get_info(m, nil), tusk_model_get_task(nil, 0, &task), tusk_model_get_task(m, 0, nil),
      tusk_model_get_label(nil, 0, 0, &text), tusk_model_get_label(m, 0, 0, nil),
      tusk_model_find_task(nil, "a", 1, &number), tusk_model_find_task(m, nil, 1, &number),
      tusk_model_find_task(m, "a", 1, nil), tusk_model_plan_session(nil, nil, &footprint),
      tusk_model_plan_session(m, nil, nil), tusk_session_create(nil, nil, &handle), tusk_session_create(m, nil, nil),
      tusk_session_get_footprint(nil, &footprint), tusk_session_get_footprint(s, nil), tusk_session_set_task(nil, 0),
      tusk_session_set_tasks(nil, [0], 1), tusk_session_set_tasks(s, nil, 1),
      tusk_session_tokenize_text(nil, "a", 1, nil, 0, &tokens), tusk_session_tokenize_text(s, nil, 0, nil, 0, &tokens),
      tusk_session_tokenize_text(s, "a", 1, nil, 1, &tokens), tusk_session_tokenize_text(s, "a", 1, nil, 0, nil),
      tusk_session_decode_ids(nil, [1], 1, &text), tusk_session_decode_ids(s, nil, 1, &text),
      tusk_session_decode_ids(s, [1], 1, nil), tusk_session_encode_ids(nil, [1], nil, 1),
      tusk_session_encode_ids(s, nil, nil, 1), tusk_session_encode_text(nil, "a", 1, nil, 0),
      tusk_session_encode_text(s, nil, 0, nil, 0), tusk_session_get_hidden(nil, &matrix),
      tusk_session_get_hidden(s, nil), tusk_session_get_outputs(nil, &matrix), tusk_session_get_outputs(s, nil),
      tusk_session_get_scores(nil, &matrix), tusk_session_get_scores(s, nil), tusk_session_start_decoding(nil),
      tusk_session_step_token(nil, 0, &matrix), tusk_session_step_token(s, 0, nil),
      tusk_session_generate_ids(nil, [1], 1, 0, nil, nil, &tokens),
      tusk_session_generate_ids(s, nil, 1, 0, nil, nil, &tokens),
      tusk_session_generate_ids(s, [1], 1, 0, nil, nil, nil),
      tusk_session_generate_text(nil, "a", 1, 0, nil, nil, &text),
      tusk_session_generate_text(s, nil, 0, 0, nil, nil, &text),
      tusk_session_generate_text(s, "a", 1, 0, nil, nil, nil),
      tusk_session_classify_text(nil, "a", 1, nil, 0, &matrix, nil),
      tusk_session_classify_text(s, "a", 1, nil, 0, nil, nil), tusk_session_embed_text(nil, "a", 1, &matrix),
      tusk_session_embed_text(s, "a", 1, nil),
    ]
    for (position, status) in statuses.enumerated() {
      #expect(status == TUSK_ERROR_NULL_ARGUMENT, "call \(position): \(String(cString: tusk_status_name(status)))")
    }
    #expect(tusk_model_destroy(nil) == TUSK_OK && tusk_session_destroy(nil) == TUSK_OK)
    #expect(String(cString: tusk_model_last_message(nil)) == "the handle is NULL")
    #expect(String(cString: tusk_session_last_message(nil)) == "the handle is NULL")
  }

  @Test func randomCallsNeverTrapAndLeaveTheSessionAsItWas() throws {
    let model = try DemoModel.open()
    var options = tusk_session_options()
    options.source_tokens = 40
    options.target_tokens = 6
    let session = try CSession(model, options)
    let expected = try session.generate("We ordered twelve chairs.")
    var random = SystemlessRandom(seed: 11)
    let texts = ["", "twelve", "\u{0}\u{FFFD} 12", String(repeating: "a", count: 300), "ﷺ 🐘 ＡＢ"]
    let numbers: [Int32] = [.min, -2, -1, 0, 1, 2, 7, 63, 7999, 8000, .max]
    let lengths = [Int.min, -1, 0, 1, 3, (1 << 31), 1 << 62, .max]
    var counts: [Int: Int] = [:]
    for _ in 0..<4000 {
      let text = random.pick(texts)
      let ids = (0..<8).map { _ in random.pick(numbers) }
      // A length that is not the buffer's own is one no buffer has, or within it.
      let textCount = random.below(3) > 0 ? text.utf8.count : min(random.pick(lengths), .max)
      let count = textCount > text.utf8.count && textCount < 1 << 31 ? text.utf8.count : textCount
      let idCount = random.below(2) > 0 ? random.below(9) : random.pick([-1, Int.min, 1 << 40, .max])
      let status = call(
        random.below(15), session.pointer, text, count, ids, idCount, random.pick(numbers), &random)
      #expect(String(cString: tusk_status_name(status)) != "TUSK_ERROR_UNKNOWN", "\(status)")
      counts[Int(status), default: 0] += 1
    }
    #expect(counts.count > 8, "\(counts)")
    #expect((counts[TUSK_OK] ?? 0) > 200)
    #expect(tusk_session_set_task(session.pointer, Int32(TUSK_NO_TASK)) == TUSK_OK)
    #expect(try session.generate("We ordered twelve chairs.") == expected)
  }

  @Test func everyOptionInRangeGivesAStatusAndSessionsThatAnswer() throws {
    let model = try CModel(path: Files.nano)
    var random = SystemlessRandom(seed: 12)
    let sizes: [Int32] = [0, 1, 2, 3, 16, 17, 1000, 100_000]
    var made = 0
    for _ in 0..<60 {
      var options = tusk_session_options()
      options.struct_bytes = MemoryLayout<tusk_session_options>.size
      options.source_tokens = random.pick(sizes)
      options.target_tokens = random.pick(sizes)
      options.beams = random.pick([0, 1, 2, 5, 40])
      options.threads = random.pick([0, 1, 2, 8])
      options.budget_bytes = random.pick([0, 0, 1 << 20, 1 << 30])
      options.truncates = random.below(2) == 0
      var session: OpaquePointer?
      let status = tusk_session_create(model.pointer, &options, &session)
      guard status == TUSK_OK else {
        #expect(status == TUSK_ERROR_BUDGET || status == TUSK_ERROR_OUT_OF_MEMORY, "\(model.message)")
        continue
      }
      made += 1
      var answer = tusk_text()
      for text in ["", "a text", "www www www"] {
        let most = min(options.target_tokens == 0 ? 64 : options.target_tokens, 5)
        let outcome = tusk_session_generate_text(session, text, text.utf8.count, most, nil, nil, &answer)
        #expect(
          outcome == TUSK_OK || outcome == TUSK_ERROR_SOURCE_TOO_LONG,
          "\(String(cString: tusk_session_last_message(session)))")
      }
      #expect(tusk_session_destroy(session) == TUSK_OK)
    }
    #expect(made > 30)
  }

  private func call(
    _ function: Int, _ session: OpaquePointer?, _ text: String, _ count: Int, _ ids: [Int32], _ idCount: Int,
    _ number: Int32, _ random: inout SystemlessRandom
  ) -> tusk_status {
    var tokens = tusk_tokens()
    var matrix = tusk_matrix()
    var result = tusk_text()
    var best: Int32 = 0
    switch function {
    case 0: return tusk_session_set_task(session, number)
    case 1: return tusk_session_tokenize_text(session, text, count, nil, 0, &tokens)
    case 2: return tusk_session_tokenize_text(session, text, count, text, count, &tokens)
    case 3: return tusk_session_decode_ids(session, ids, idCount, &result)
    case 4: return tusk_session_encode_ids(session, ids, random.below(2) > 0 ? nil : ids, idCount)
    case 5: return tusk_session_encode_text(session, text, count, nil, random.below(2))
    case 6: return tusk_session_get_hidden(session, &matrix)
    case 7: return tusk_session_get_outputs(session, &matrix)
    case 8: return tusk_session_start_decoding(session)
    case 9: return tusk_session_step_token(session, number, &matrix)
    case 10: return tusk_session_generate_ids(session, ids, idCount, number, nil, nil, &tokens)
    case 11: return tusk_session_generate_text(session, text, count, number, nil, nil, &result)
    case 12: return tusk_session_classify_text(session, text, count, nil, 0, &matrix, &best)
    case 13: return tusk_session_embed_text(session, text, count, &matrix)
    default: return tusk_session_set_tasks(session, ids, idCount)
    }
  }
}
