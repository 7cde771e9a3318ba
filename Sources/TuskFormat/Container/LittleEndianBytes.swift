/// Bytes of a record under construction.
struct LittleEndianBytes {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int) { bytes.reserveCapacity(capacity) }

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    var rest = value.littleEndian
    withUnsafeBytes(of: &rest) { bytes.append(contentsOf: $0) }
  }

  mutating func append(contentsOf values: [UInt8]) { bytes.append(contentsOf: values) }

  /// Appends zeros until `count` bytes are there.
  mutating func pad(to count: Int) {
    precondition(bytes.count <= count, "record longer than its place")
    bytes.append(contentsOf: repeatElement(0, count: count - bytes.count))
  }

  /// Replaces the bytes at `position`.
  mutating func replace<Value: FixedWidthInteger>(at position: Int, with value: Value) {
    var rest = value.littleEndian
    withUnsafeBytes(of: &rest) { bytes.replaceSubrange(position..<position + $0.count, with: $0) }
  }
}
