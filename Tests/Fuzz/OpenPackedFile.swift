import CTuskSystem
import TuskFormat

/// Any bytes are a packed file that opens and verifies, or a typed error; the accessors hold on whatever opened.
@_cdecl("LLVMFuzzerTestOneInput")
public func openPackedFile(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  var bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  repairIndexChecksum(&bytes)
  guard let file = try? PackedFile(Mapping(copying: bytes)) else { return 0 }
  _ = try? file.verify()
  for position in 0..<file.taskCount {
    let task = file.task(at: position)
    for index in 0..<task.tensorCount { _ = task.tensor(at: index).data.count }
    for slot in 0..<task.slots.count { _ = task.slot(at: slot) }
  }
  if let config = file.config {
    for position in 0..<config.tensorCount { _ = file.tensor(at: position).scales.count }
  }
  return 0
}

/// Otherwise hardly any input would come past the header.
private func repairIndexChecksum(_ bytes: inout [UInt8]) {
  guard bytes.count >= 64 else { return }
  let sections = Int(bytes[32]) | Int(bytes[33]) << 8
  let tableEnd = min(bytes.count, 64 + 32 * sections)
  let table = Array(bytes[64..<tableEnd])
  let checksum = tusk_crc32(tusk_crc32(0, bytes, 60), table, table.count)
  for index in 0..<4 { bytes[60 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
}
