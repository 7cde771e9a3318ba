/// Float32 tensors by name, in an order; several may be the same numbers.
struct StateDict {
  /// Takes the bytes of consecutive numbers.
  typealias Sink = (UnsafeRawBufferPointer) throws(ConversionError) -> Void

  struct Entry {
    let name: String
    let shape: [Int]
    /// Index among `storages`.
    let storage: Int
  }

  /// Numbers in row-major order, there or still to be read.
  struct Storage {
    let elementCount: Int
    let write: (Sink) throws(ConversionError) -> Void
  }

  private(set) var entries: [Entry] = []
  private(set) var storages: [Storage] = []
  private var positions: [String: Int] = [:]

  /// Bytes of all numbers, shared ones once.
  var byteCount: Int { storages.reduce(0) { $0 + 4 * $1.elementCount } }

  mutating func add(_ name: String, _ shape: [Int], _ values: [Float]) {
    add(
      name, shape,
      Storage(elementCount: values.count) { (sink) throws(ConversionError) in
        try values.withUnsafeBufferPointer { (values) throws(ConversionError) in
          try sink(UnsafeRawBufferPointer(values))
        }
      })
  }

  mutating func add(_ name: String, _ shape: [Int], _ storage: Storage) {
    precondition(shape.reduce(1, *) == storage.elementCount, "values do not fill the shape")
    storages.append(storage)
    append(Entry(name: name, shape: shape, storage: storages.count - 1))
  }

  /// Gives a tensor a further name.
  /// - Precondition: there is one called `other`.
  mutating func add(_ name: String, sameAs other: String) {
    let entry = entries[positions[other]!]
    append(Entry(name: name, shape: entry.shape, storage: entry.storage))
  }

  func contains(_ name: String) -> Bool { positions[name] != nil }

  private mutating func append(_ entry: Entry) {
    precondition(positions.updateValue(entries.count, forKey: entry.name) == nil, "two tensors of one name")
    entries.append(entry)
  }
}
