/// FNV-1a, 64 bits: names a checkpoint so that a task is not mounted on another backbone. Not a defence against forgery.
package struct Fingerprint {
  package private(set) var value: UInt64 = 14_695_981_039_346_656_037

  package init() {}

  package mutating func combine<Value: BitwiseCopyable>(_ value: Value) {
    withUnsafeBytes(of: value) { bytes in
      for byte in bytes { self.value = (self.value ^ UInt64(byte)) &* 1_099_511_628_211 }
    }
  }

  /// The bytes of the fingerprint that an index entry stands for.
  package mutating func combine(_ spec: TensorSpec, sourceChecksum: UInt32) {
    combine(spec.role.rawValue)
    combine(UInt16(spec.stack.rawValue))
    combine(UInt32(spec.layer))
    combine(UInt32(spec.rows))
    combine(UInt32(spec.columns))
    combine(sourceChecksum)
  }
}
