import CTuskKernels
import CTuskSystem

/// What bounds this machine, measured in the same run as what it bounds: reading memory bounds decoding, multiply-adds
/// bound encoding. 0 where it could not be measured.
struct MachineLimits {
  private static let bytesPerThread = 128 << 20
  private static let rounds = 3
  /// Long beside starting the threads.
  private static let leastProbeSeconds = 0.01

  let readBytesPerSecond: Double
  /// 8-bit multiply-adds per second, by the instructions of the kernels in use.
  let multiplyAddsPerSecond: Double
  /// The same by the instructions of AVX2, which every x86-64 peer of the last ten years can use; nil without AVX2.
  let avx2MultiplyAddsPerSecond: Double?

  init(kernels: UnsafePointer<TuskKernels>, threads: Int) {
    guard let pool = tusk_pool_create(Int32(threads)) else {
      (readBytesPerSecond, multiplyAddsPerSecond, avx2MultiplyAddsPerSecond) = (0, 0, nil)
      return
    }
    defer { tusk_pool_destroy(pool) }
    readBytesPerSecond = Self.readRate(kernels, pool, threads)
    multiplyAddsPerSecond = Self.multiplyAddRate(kernels, pool, threads)
    let avx2 = tusk_kernels_select("avx2", nil)
    avx2MultiplyAddsPerSecond =
      String(cString: avx2.pointee.name) == "avx2" ? Self.multiplyAddRate(avx2, pool, threads) : nil
  }

  /// The fastest of a few rounds over memory that no cache holds, in bytes per second; 0 if there is no memory for it.
  private static func readRate(_ kernels: UnsafePointer<TuskKernels>, _ pool: OpaquePointer, _ threads: Int) -> Double {
    let byteCount = bytesPerThread * threads
    guard let memory = tusk_reserve_memory(byteCount) else { return 0 }
    defer { tusk_release_memory(memory, byteCount) }
    // Untouched memory is one shared page of zeros: it has to be written before it is memory.
    memory.initializeMemory(as: UInt8.self, repeating: 1, count: byteCount)
    var job = ReadJob(kernels: kernels, memory: memory)
    let seconds = fastest(pool, threads, &job) { context, index, _ in
      let job = context!.assumingMemoryBound(to: ReadJob.self).pointee
      _ = job.kernels.pointee.read_probe(
        job.memory + index * MachineLimits.bytesPerThread, MachineLimits.bytesPerThread)
    }
    return Double(byteCount) / seconds
  }

  private static func multiplyAddRate(
    _ kernels: UnsafePointer<TuskKernels>, _ pool: OpaquePointer, _ threads: Int
  ) -> Double {
    var job = MultiplyAddJob(kernels: kernels, rounds: 1 << 10)
    var count: UInt64 = 0
    var seconds = 0.0
    while seconds < leastProbeSeconds {
      job.rounds *= 2
      let start = tusk_monotonic_nanoseconds()
      count = kernels.pointee.multiply_add_probe(job.rounds)
      seconds = secondsSince(start)
    }
    let best = fastest(pool, threads, &job) { context, _, _ in
      let job = context!.assumingMemoryBound(to: MultiplyAddJob.self).pointee
      _ = job.kernels.pointee.multiply_add_probe(job.rounds)
    }
    return Double(count) * Double(threads) / best
  }

  /// Seconds of the fastest of a few rounds in which every thread does the job once.
  private static func fastest<Job>(
    _ pool: OpaquePointer, _ threads: Int, _ job: inout Job, _ work: tusk_pool_body
  ) -> Double {
    withUnsafeMutablePointer(to: &job) { job in
      (0..<rounds).reduce(Double.infinity) { fastest, _ in
        let start = tusk_monotonic_nanoseconds()
        _ = tusk_pool_run(pool, threads, work, job)
        return min(fastest, secondsSince(start))
      }
    }
  }

  private struct ReadJob {
    let kernels: UnsafePointer<TuskKernels>
    let memory: UnsafeMutableRawPointer
  }

  private struct MultiplyAddJob {
    let kernels: UnsafePointer<TuskKernels>
    var rounds: Int
  }
}

/// Seconds since a reading of the monotonic clock; above 0.
func secondsSince(_ start: UInt64) -> Double { max(Double(tusk_monotonic_nanoseconds() - start), 1) / 1e9 }
