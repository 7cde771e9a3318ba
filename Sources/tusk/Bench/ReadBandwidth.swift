import CTuskKernels
import CTuskSystem

/// How fast this machine can read memory: the limit of decoding, measured in the same run as what it limits.
struct ReadBandwidth {
  private static let bytesPerThread = 128 << 20
  private static let rounds = 3

  /// The fastest of a few rounds over memory that no cache holds, in bytes per second; 0 if there is no memory for it.
  static func measure(kernels: UnsafePointer<TuskKernels>, threads: Int) -> Double {
    let byteCount = bytesPerThread * threads
    guard let memory = tusk_reserve_memory(byteCount), let pool = tusk_pool_create(Int32(threads)) else { return 0 }
    defer {
      tusk_pool_destroy(pool)
      tusk_release_memory(memory, byteCount)
    }
    // Untouched memory is one shared page of zeros: it has to be written before it is memory.
    memory.initializeMemory(as: UInt8.self, repeating: 1, count: byteCount)
    var fastest = 0.0
    for _ in 0..<rounds {
      var job = Job(kernels: kernels, memory: memory)
      let start = tusk_monotonic_nanoseconds()
      _ = tusk_pool_run(
        pool, threads,
        { context, index, _ in
          let job = context!.assumingMemoryBound(to: Job.self).pointee
          _ = job.kernels.pointee.read_probe(
            job.memory + index * ReadBandwidth.bytesPerThread, ReadBandwidth.bytesPerThread)
        }, &job)
      fastest = max(fastest, Double(byteCount) / secondsSince(start))
    }
    return fastest
  }

  private struct Job {
    let kernels: UnsafePointer<TuskKernels>
    let memory: UnsafeMutableRawPointer
  }
}

/// Seconds since a reading of the monotonic clock; above 0.
func secondsSince(_ start: UInt64) -> Double { max(Double(tusk_monotonic_nanoseconds() - start), 1) / 1e9 }
