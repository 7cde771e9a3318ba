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

/// Opens a checkpoint and reads every row. Throwing is fine; trapping, hanging and reading out of bounds are not.
///
/// An input that starts with an odd byte is a whole file behind that byte. Otherwise it is a header behind it, and the file
/// gets the header's true length and as many values as the byte says, so that the fuzzer need not find them.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  guard count > 0 else { return 0 }
  let input = Array(UnsafeBufferPointer(start: start, count: count).dropFirst())
  if start[0] & 1 == 1 {
    write(input)
  } else {
    let length = (0..<8).map { UInt8(truncatingIfNeeded: input.count >> (8 * $0)) }
    write(length + input + [UInt8](repeating: 0x3F, count: Int(start[0])))
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
