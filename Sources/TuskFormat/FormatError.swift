/// Why bytes are not a Tusk file this reader accepts.
///
/// One case per way to be wrong; `formats/examples/broken` holds the smallest file for each that a file can show.
public struct FormatError: Error, Equatable, Sendable {
  public let kind: Kind
  /// Byte offset in the file at which the fault was seen.
  public let offset: UInt64
  /// The number that was found, and the one that was required; what they count is said by `kind`.
  public let found: UInt64
  public let required: UInt64

  public init(_ kind: Kind, at offset: Int, found: UInt64 = 0, required: UInt64 = 0) {
    self.kind = kind
    self.offset = UInt64(max(offset, 0))
    self.found = found
    self.required = required
  }

  public enum Kind: UInt16, CaseIterable, Sendable {
    /// The operating system refused to open the file; `found` is its error number.
    case cannotOpen = 1
    /// A directory, FIFO, socket or device; `found` is the error number.
    case notRegularFile = 2
    /// A caller's memory; `found` is the address modulo the required alignment.
    case misalignedMemory = 3

    case truncatedHeader = 10
    case wrongMagic = 11
    case unsupportedVersion = 12
    case invalidField = 13
    case reservedNotZero = 14
    case wrongFileLength = 15
    case wrongTableOffset = 16
    case truncatedTable = 17
    case indexChecksumMismatch = 18

    case unknownRequiredSection = 20
    case wrongSectionFlags = 21
    case wrongSectionOrder = 22
    case wrongSectionOffset = 23
    case wrongSectionLength = 24
    case missingSection = 25

    case wrongTensor = 30
    case wrongTensorShape = 31
    case wrongTensorEncoding = 32
    case wrongTensorPlace = 33
    case fingerprintMismatch = 34

    case wrongTableLength = 40
    case invalidReference = 41
    case unusedEntry = 42
    case wrongWidth = 43
    case invalidName = 44

    case taskOfOtherBackbone = 50
    case taskOfOtherShape = 51
    case tasksNotStackable = 52
    case tasksDiffer = 53

    case checksumMismatch = 60
    case paddingNotZero = 61
    case invalidCode = 62
    case valueNotFinite = 63
  }
}

extension FormatError {
  /// One sentence about `kind`, to stand in front of the found and the required number.
  public var summary: StaticString {
    switch kind {
    case .cannotOpen: "the file cannot be opened (system error number)"
    case .notRegularFile: "not a regular file (system error number)"
    case .misalignedMemory: "the memory of a file does not begin on a multiple of 64 bytes (bytes behind one)"
    case .truncatedHeader: "the file ends inside its header (bytes)"
    case .wrongMagic: "not a Tusk file (first eight bytes)"
    case .unsupportedVersion: "the file needs a newer reader (version)"
    case .invalidField: "a field has a value outside its range"
    case .reservedNotZero: "a reserved field is not zero"
    case .wrongFileLength: "the file is not as long as its header says (bytes)"
    case .wrongTableOffset: "the section table is not where it must be (offset)"
    case .truncatedTable: "the file ends inside its section table (bytes)"
    case .indexChecksumMismatch: "header and section table do not match their checksum"
    case .unknownRequiredSection: "a section this reader does not know is required (kind)"
    case .wrongSectionFlags: "a section is not marked as its kind must be (flags)"
    case .wrongSectionOrder: "sections are repeated or out of order (kind)"
    case .wrongSectionOffset: "a section is not where the one before it ends (offset)"
    case .wrongSectionLength: "a section has the wrong length (bytes)"
    case .missingSection: "a section is missing (kind)"
    case .wrongTensor: "the index names another tensor than the configuration demands (role)"
    case .wrongTensorShape: "a tensor has another shape than the configuration demands"
    case .wrongTensorEncoding: "a tensor has an encoding that is not allowed for it"
    case .wrongTensorPlace: "a tensor is not where the one before it ends (offset)"
    case .fingerprintMismatch: "the fingerprint does not match the index"
    case .wrongTableLength: "the tables of a task do not fill its section (bytes)"
    case .invalidReference: "an entry of a task names one that does not exist or is out of turn (index)"
    case .unusedEntry: "a task holds entries that nothing uses (count)"
    case .wrongWidth: "an entry of a task has a width that does not fit (elements)"
    case .invalidName: "a name is not UTF-8 text without control characters (byte)"
    case .taskOfOtherBackbone: "the task belongs to another backbone (fingerprint)"
    case .taskOfOtherShape: "the task is of another shape than the backbone"
    case .tasksNotStackable: "an attachment of the task cannot act behind those of the tasks before it (attachment)"
    case .tasksDiffer: "the task is not of one structure with the first"
    case .checksumMismatch: "the bytes of a section do not match their checksum"
    case .paddingNotZero: "padding is not zero"
    case .invalidCode: "an int8 code is -128, which the format excludes"
    case .valueNotFinite: "a stored number is not finite or, for a scale, negative"
    }
  }

  /// `sysexits` code for a command that ends with this error: 66 if the file cannot be opened, else 65.
  public var exitCode: Int32 { kind == .cannotOpen || kind == .notRegularFile ? 66 : 65 }
}
