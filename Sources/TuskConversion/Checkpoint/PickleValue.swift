/// A value on the unpickler's stack. Compound values are indices into the unpickler's tables, so values are copied and
/// freed in constant time whatever the nesting, and a table that refers to itself costs nothing.
enum PickleValue {
  case none
  case bool(Bool)
  case integer(Int)
  case real
  /// Range of UTF-8 bytes in the pickle.
  case string(offset: Int32, count: Int32)
  case global(PickleGlobal)
  /// Range of the unpickler's elements.
  case tuple(offset: Int32, count: Int32)
  case list(Int32)
  case dictionary(Int32)
  case storage(Int32)
  case tensor(Int32)

  /// What the value is called in messages.
  var kindName: String {
    switch self {
    case .none: "None"
    case .bool: "a bool"
    case .integer: "an int"
    case .real: "a float"
    case .string: "a string"
    case .global(let global): "the global '\(global.name)'"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dictionary: "a dict"
    case .storage: "a storage"
    case .tensor: "a tensor"
    }
  }
}

/// The only names a pickle may mention. None of them is ever called: each stands for what the reader itself does.
enum PickleGlobal: Equatable {
  case orderedDictionary
  /// `torch._utils._rebuild_tensor_v2`: a view of a typed storage.
  case rebuildTensor
  /// `torch._utils._rebuild_tensor_v3`: the same with an element type beside an untyped storage.
  case rebuildTypedTensor
  case rebuildParameter
  /// The class of a storage; nil for the untyped one, which counts bytes.
  case storageType(ElementType?)
  case elementType(ElementType)

  init?(module: String, name: String) {
    switch (module, name) {
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
    case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTypedTensor
    case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
    case ("torch", "UntypedStorage"), ("torch.storage", "UntypedStorage"): self = .storageType(nil)
    case ("torch", _):
      if let storage = PickleGlobal.storageNames[name] {
        self = .storageType(storage)
      } else if let element = ElementType(rawValue: name) {
        self = .elementType(element)
      } else {
        return nil
      }
    default: return nil
    }
  }

  private static let storageNames: [String: ElementType] = [
    "FloatStorage": .float32, "HalfStorage": .float16, "BFloat16Storage": .bfloat16, "DoubleStorage": .float64,
    "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8, "ByteStorage": .uint8,
    "BoolStorage": .bool,
  ]

  var name: String {
    switch self {
    case .orderedDictionary: "collections.OrderedDict"
    case .rebuildTensor: "torch._utils._rebuild_tensor_v2"
    case .rebuildTypedTensor: "torch._utils._rebuild_tensor_v3"
    case .rebuildParameter: "torch._utils._rebuild_parameter"
    case .storageType(let type): "torch storage of \(type?.rawValue ?? "bytes")"
    case .elementType(let type): "torch.\(type.rawValue)"
    }
  }
}

/// A storage a pickle refers to by its persistent id.
struct PickleStorage {
  /// Name of the archive member under `data/`.
  let key: String
  /// Nil when `count` counts bytes.
  let elementType: ElementType?
  let count: Int
}

/// A tensor a pickle builds: a strided view of a storage, within its bounds.
struct PickleTensor {
  /// Index of the storage among those of the unpickler.
  let storage: Int
  let elementType: ElementType
  /// Elements of `elementType` in the storage.
  let storageCount: Int
  let firstElement: Int
  let shape: [Int]
  let strides: [Int]
}
