import Glibc
import TuskConversion

/// One file without a name that every run overwrites, opened through /proc: the way a user's file takes, and nothing is left
/// behind when the fuzzer dies.
private let file: (descriptor: Int32, path: String) = {
  let name = "/dev/shm/tusk-fuzz-\(getpid())"
  let descriptor = open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
  precondition(descriptor >= 0, "cannot create \(name)")
  unlink(name)
  return (descriptor, "/proc/self/fd/\(descriptor)")
}()

private func write(_ bytes: [UInt8]) {
  ftruncate(file.descriptor, 0)
  pwrite(file.descriptor, bytes, bytes.count, 0)
}

private func number(_ value: Int, bytes: Int) -> [UInt8] {
  (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

/// A zip archive of stored members without checksums.
private func archive(_ members: [(name: String, content: [UInt8])]) -> [UInt8] {
  var bytes: [UInt8] = []
  var directory: [UInt8] = []
  for member in members {
    let fields: [UInt8] =
      [20, 0] + number(0, bytes: 12) + number(member.content.count, bytes: 4) + number(member.content.count, bytes: 4)
      + number(member.name.utf8.count, bytes: 4)
    directory += [0x50, 0x4B, 1, 2, 20, 0] + fields + number(0, bytes: 10) + number(bytes.count, bytes: 4)
    directory += Array(member.name.utf8)
    bytes += [0x50, 0x4B, 3, 4] + fields + Array(member.name.utf8) + member.content
  }
  let end = number(members.count, bytes: 2) + number(members.count, bytes: 2) + number(directory.count, bytes: 4)
  return bytes + directory + [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + end + number(bytes.count, bytes: 4) + [0, 0]
}

/// Opens a checkpoint and reads every row. Throwing is fine; trapping, hanging and reading out of bounds are not.
///
/// An input that starts with an odd byte is a whole file behind that byte. Otherwise it is a pickle behind it, in an archive
/// with two storages: '0' of as many bytes as the first byte says, '1' of 64.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  guard count > 0 else { return 0 }
  let input = Array(UnsafeBufferPointer(start: start, count: count).dropFirst())
  if start[0] & 1 == 1 {
    write(input)
  } else {
    let first = [UInt8](repeating: 0x3F, count: Int(start[0]))
    let second = [UInt8](repeating: 0x40, count: 64)
    write(archive([("m/data.pkl", input), ("m/data/0", first), ("m/data/1", second)]))
  }
  do throws(ConversionError) {
    let checkpoint = try Checkpoint.open(file: file.path)
    for name in checkpoint.tensorNames {
      guard let tensor = checkpoint.tensor(name), tensor.elementType.isFloatingPoint else { continue }
      _ = try checkpoint.readAll(tensor)
    }
  } catch {
    _ = error.description
  }
  return 0
}
