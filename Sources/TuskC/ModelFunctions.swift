// The functions of classes [model] and [read] of tusk.h, which documents them; the compiler holds them against it.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CTusk
import CTuskHandles
import TuskEngine
import TuskFormat

@c @implementation
public func tusk_model_create(
  _ memory: UnsafeMutableRawPointer?, _ memory_bytes: Int, _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> tusk_status {
  guard let model else { return tusk_status(TUSK_ERROR_NULL_ARGUMENT) }
  do throws(Failure) {
    let heap = try makeHeap(in: CallerMemory(memory, memory_bytes).bytes)
    let previous = enterHeap(heap)
    defer { leaveHeap(previous) }
    let handle = Model(heap: heap)
    try requireNoOverflow(heap)
    model.pointee = handle.giveAway()
    return tusk_status(TUSK_OK)
  } catch { return error.status }
}

@c @implementation
public func tusk_model_destroy(_ model: OpaquePointer?) -> tusk_status {
  guard let model else { return tusk_status(TUSK_OK) }
  let state = Model.behind(model).state
  guard tusk_handle_enter(state) else { return tusk_status(TUSK_ERROR_IN_USE) }
  guard tusk_handle_user_count(state) == 0 else {
    Failure(
      TUSK_ERROR_IN_USE, "the model has sessions", found: Int(tusk_handle_user_count(state)), required: 0
    ).write(to: state)
    tusk_handle_leave(state)
    return tusk_status(TUSK_ERROR_IN_USE)
  }
  let previous = enterHeap(nil)
  Model.takeBack(model)
  leaveHeap(previous)
  return tusk_status(TUSK_OK)
}

@c @implementation
public func tusk_model_last_message(_ model: OpaquePointer?) -> UnsafePointer<CChar>? {
  guard let model else { return nullHandleMessage }
  return tusk_handle_message(Model.behind(model).state)
}

/// What there is to say about no handle.
var nullHandleMessage: UnsafePointer<CChar> {
  let text: StaticString = "the handle is NULL"
  return UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

/// Runs `body` as the only call of class [model].
private func withModel(_ model: OpaquePointer?, _ body: (Model) throws(Failure) -> Void) -> tusk_status {
  guard let model else { return tusk_status(TUSK_ERROR_NULL_ARGUMENT) }
  return Model.behind(model).exclusively(body)
}

private func mapping(path: UnsafePointer<CChar>?) throws(Failure) -> UnsafePointer<CChar> {
  guard let path else { throw .null("the path is NULL") }
  return path
}

private func mapping(_ bytes: UnsafeRawPointer?, _ count: Int) throws(Failure) -> UnsafeRawBufferPointer {
  guard let bytes else { throw .null("the address of the file is NULL") }
  guard count >= 0 else { throw Failure(TUSK_ERROR_INVALID_ARGUMENT, "the length of the file is no length") }
  return UnsafeRawBufferPointer(start: bytes, count: count)
}

@c @implementation
public func tusk_model_open_path(_ model: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    let path = try mapping(path: path)
    try model.open { () throws(FormatError) in try Mapping(path: path) }
  }
}

@c @implementation
public func tusk_model_open_descriptor(_ model: OpaquePointer?, _ descriptor: Int32) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    try model.open { () throws(FormatError) in try Mapping(descriptor: descriptor) }
  }
}

@c @implementation
public func tusk_model_open_memory(
  _ model: OpaquePointer?, _ bytes: UnsafeRawPointer?, _ count: Int
) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    let bytes = try mapping(bytes, count)
    try model.open { () throws(FormatError) in try Mapping(borrowing: bytes) }
  }
}

@c @implementation
public func tusk_model_mount_path(_ model: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    let path = try mapping(path: path)
    try model.mount { () throws(FormatError) in try Mapping(path: path) }
  }
}

@c @implementation
public func tusk_model_mount_descriptor(_ model: OpaquePointer?, _ descriptor: Int32) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    try model.mount { () throws(FormatError) in try Mapping(descriptor: descriptor) }
  }
}

@c @implementation
public func tusk_model_mount_memory(
  _ model: OpaquePointer?, _ bytes: UnsafeRawPointer?, _ count: Int
) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    let bytes = try mapping(bytes, count)
    try model.mount { () throws(FormatError) in try Mapping(borrowing: bytes) }
  }
}

/// Runs `body`, which only reads and leaves no message.
private func reading(_ model: OpaquePointer?, _ body: (Model) throws(Failure) -> Void) -> tusk_status {
  guard let model else { return tusk_status(TUSK_ERROR_NULL_ARGUMENT) }
  do throws(Failure) {
    try body(Model.behind(model))
    return tusk_status(TUSK_OK)
  } catch { return error.status }
}

/// - Throws: `TUSK_ERROR_STRUCT_BYTES` unless a structure's first member says what this library knows.
func requireStructBytes(_ found: Int, _ required: Int) throws(Failure) {
  guard found == required else {
    throw Failure(
      TUSK_ERROR_STRUCT_BYTES, "a structure is not as long as this library's (struct_bytes)", found: found,
      required: required)
  }
}

@c @implementation
public func tusk_model_get_info(_ model: OpaquePointer?, _ info: UnsafeMutablePointer<tusk_model_info>?) -> tusk_status
{
  reading(model) { (model) throws(Failure) in
    guard let info else { throw .null("info is NULL") }
    try requireStructBytes(info.pointee.struct_bytes, MemoryLayout<tusk_model_info>.size)
    let (file, config) = try model.backbone()
    info.pointee.fingerprint = config.fingerprint
    info.pointee.backbone_bytes = UInt64(file.mapping.count - model.files.bundledTaskBytes)
    info.pointee.architecture = Int32(config.hasDecoder ? TUSK_ENCODER_DECODER : TUSK_ENCODER)
    info.pointee.width = Int32(config.dModel)
    info.pointee.layers = Int32(config.layerCount)
    info.pointee.decoder_layers = Int32(config.decoderLayerCount)
    info.pointee.vocabulary_size = Int32(config.vocabularySize)
    info.pointee.max_source_tokens = Int32(clamping: config.maxSourceTokens ?? 0)
    info.pointee.pad_id = Int32(clamping: config.padId)
    info.pointee.end_id = Int32(clamping: config.eosId)
    info.pointee.start_id = Int32(clamping: config.decoderStartId)
    info.pointee.tasks = Int32(clamping: model.files.taskCount)
    info.pointee.has_tokenizer = file.section(.tokenizer) != nil
    info.pointee.has_head = file.head != nil
  }
}

@c @implementation
public func tusk_model_get_task(
  _ model: OpaquePointer?, _ task: Int32, _ info: UnsafeMutablePointer<tusk_task_info>?
) -> tusk_status {
  reading(model) { (model) throws(Failure) in
    guard let info else { throw .null("info is NULL") }
    try requireStructBytes(info.pointee.struct_bytes, MemoryLayout<tusk_task_info>.size)
    let config = try model.backbone().config
    let section = try model.files.headSection(task)
    let head = section?.head
    info.pointee.name = task == TUSK_NO_TASK ? tusk_text(bytes: nil, count: 0) : section!.name.inPlace
    info.pointee.bytes = UInt64(section?.bytes.count ?? 0)
    info.pointee.vocabulary_size = Int32(
      clamping: task == TUSK_NO_TASK ? config.vocabularySize : section!.vocabularySize)
    info.pointee.head = Int32(head?.output.rawValue ?? UInt16(TUSK_HEAD_NONE))
    info.pointee.outputs = Int32(clamping: head?.outWidth ?? 0)
    info.pointee.labels = Int32(clamping: head?.labelCount ?? 0)
  }
}

@c @implementation
public func tusk_model_get_label(
  _ model: OpaquePointer?, _ task: Int32, _ label: Int32, _ name: UnsafeMutablePointer<tusk_text>?
) -> tusk_status {
  reading(model) { (model) throws(Failure) in
    guard let name else { throw .null("name is NULL") }
    _ = try model.backbone()
    guard let section = try model.files.headSection(task), label >= 0, Int(label) < section.head?.labelCount ?? 0 else {
      throw Failure(TUSK_ERROR_NO_SUCH_LABEL, "no such label")
    }
    name.pointee = section.label(at: Int(label)).inPlace
  }
}

@c @implementation
public func tusk_model_find_task(
  _ model: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ count: Int, _ task: UnsafeMutablePointer<Int32>?
) -> tusk_status {
  reading(model) { (model) throws(Failure) in
    guard let name, let task else { throw .null("name or task is NULL") }
    guard count >= 0, let number = model.files.taskNumber(named: UnsafeRawBufferPointer(start: name, count: count))
    else { throw Failure(TUSK_ERROR_NO_SUCH_TASK, "no task has this name") }
    task.pointee = number
  }
}

@c @implementation
public func tusk_model_plan_session(
  _ model: OpaquePointer?, _ options: UnsafePointer<tusk_session_options>?,
  _ footprint: UnsafeMutablePointer<tusk_footprint>?
) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    guard let footprint else { throw .null("footprint is NULL") }
    try requireStructBytes(footprint.pointee.struct_bytes, MemoryLayout<tusk_footprint>.size)
    footprint.pointee = try SessionPlan(model, options, smallestBudget: &footprint.pointee.private_bytes).footprint
  }
}

@c @implementation
public func tusk_session_create(
  _ model: OpaquePointer?, _ options: UnsafePointer<tusk_session_options>?,
  _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> tusk_status {
  withModel(model) { (model) throws(Failure) in
    guard let session else { throw .null("session is NULL") }
    session.pointee = try TaskSession.make(model, SessionPlan(model, options)).giveAway()
    tusk_handle_add_user(model.state)
  }
}
