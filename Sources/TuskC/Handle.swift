import CTusk
import CTuskHandles

/// What stands behind a pointer of the C interface.
///
/// `state` serializes the calls, keeps the last message and counts what needs the handle; `heap` is where its objects
/// live if the caller gave memory, of which only the Embedded library takes notice.
protocol Handle: AnyObject {
  var state: UnsafeMutablePointer<tusk_handle> { get }
  var heap: OpaquePointer? { get }
}

extension Handle {
  /// The object behind `pointer`, without taking part in its ownership.
  /// - Precondition: the pointer came from `giveAway` and was not taken back.
  static func behind(_ pointer: OpaquePointer) -> Self {
    Unmanaged<Self>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  /// A pointer that owns the object.
  func giveAway() -> OpaquePointer { OpaquePointer(Unmanaged.passRetained(self).toOpaque()) }

  /// Ends what `giveAway` began.
  static func takeBack(_ pointer: OpaquePointer) { Unmanaged<Self>.fromOpaque(UnsafeRawPointer(pointer)).release() }

  /// Runs `body` as the only call on this handle, allocating from its heap; a failure leaves its message with the handle.
  func exclusively(_ body: (Self) throws(Failure) -> Void) -> tusk_status {
    guard tusk_handle_enter(state) else { return tusk_status(TUSK_ERROR_IN_USE) }
    defer { tusk_handle_leave(state) }
    let previous = enterHeap(heap)
    defer { leaveHeap(previous) }
    do throws(Failure) {
      try body(self)
      try requireNoOverflow(heap)
      return tusk_status(TUSK_OK)
    } catch {
      _ = takeOverflow(heap)
      error.write(to: state)
      return error.status
    }
  }
}

/// Memory for a `Handle`'s state; it is filled with zeros.
func makeState() -> UnsafeMutablePointer<tusk_handle> {
  let state = UnsafeMutablePointer<tusk_handle>.allocate(capacity: 1)
  state.initialize(to: tusk_handle())
  return state
}

/// The caller's memory for the objects of a handle, checked.
struct CallerMemory {
  /// Where a caller's memory has to begin.
  static let alignment = 64
  let bytes: UnsafeMutableRawBufferPointer?

  init(_ memory: UnsafeMutableRawPointer?, _ count: Int) throws(Failure) {
    guard let memory else {
      guard count == 0 else { throw .null("memory has a length but no address") }
      bytes = nil
      return
    }
    let rest = Int(bitPattern: memory) & (Self.alignment - 1)
    guard rest == 0 else {
      throw Failure(
        TUSK_ERROR_MISALIGNED_MEMORY, "the memory does not begin on a multiple of 64 bytes (bytes behind one)",
        found: rest, required: 0)
    }
    guard count >= 0 else { throw Failure(TUSK_ERROR_INVALID_ARGUMENT, "the length of the memory is no length") }
    bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
  }
}

#if hasFeature(Embedded)
  /// A heap in `memory`; nil stands for malloc.
  func makeHeap(in memory: UnsafeMutableRawBufferPointer?) throws(Failure) -> OpaquePointer? {
    guard let memory else { return nil }
    guard let base = memory.baseAddress, let heap = tusk_heap_make(base, memory.count) else {
      throw .tooSmall(memory.count, 1024)
    }
    return heap
  }

  func enterHeap(_ heap: OpaquePointer?) -> OpaquePointer? { tusk_heap_enter(heap) }

  func leaveHeap(_ previous: OpaquePointer?) { _ = tusk_heap_enter(previous) }

  func takeOverflow(_ heap: OpaquePointer?) -> Int { tusk_heap_take_overflow(heap) }
#else
  /// The Swift runtime has an allocator of its own.
  func makeHeap(in memory: UnsafeMutableRawBufferPointer?) throws(Failure) -> OpaquePointer? { nil }

  func enterHeap(_ heap: OpaquePointer?) -> OpaquePointer? { nil }

  func leaveHeap(_ previous: OpaquePointer?) {}

  func takeOverflow(_ heap: OpaquePointer?) -> Int { 0 }
#endif

/// What did not fit in the heap came from malloc so that the call could end in order; it fails all the same.
func requireNoOverflow(_ heap: OpaquePointer?) throws(Failure) {
  let overflow = takeOverflow(heap)
  guard overflow == 0 else { throw .tooSmall(0, overflow) }
}

extension Failure {
  static func tooSmall(_ found: Int, _ required: Int) -> Failure {
    Failure(
      TUSK_ERROR_MEMORY_TOO_SMALL, "the caller's memory is too small (bytes left, bytes needed)", found: found,
      required: required)
  }
}
