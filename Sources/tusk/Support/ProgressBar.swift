import CTuskSystem
import Foundation
import TuskConversion

/// Bytes done, speed and time left, on a terminal's last line; nothing where there is no terminal.
struct ProgressBar {
  private let totalBytes: Int
  private let start = tusk_monotonic_nanoseconds()
  private var shown: UInt64 = 0
  private var isVisible = false

  private static let cells = 24
  private static let intervalNanoseconds: UInt64 = 100_000_000

  init(totalBytes: Int) { self.totalBytes = totalBytes }

  mutating func show(doneBytes: Int, _ subject: String) {
    let now = tusk_monotonic_nanoseconds()
    guard StandardError.isTerminal, totalBytes > 0, now - shown >= Self.intervalNanoseconds else { return }
    shown = now
    isVisible = true
    let share = Double(doneBytes) / Double(totalBytes)
    let seconds = secondsSince(start)
    let speed = Double(doneBytes) / seconds
    let left = speed > 0 ? Double(totalBytes - doneBytes) / speed : 0
    let full = Int(share * Double(Self.cells))
    let bar = String(repeating: "#", count: full) + String(repeating: ".", count: Self.cells - full)
    StandardError.write(
      "\r[\(bar)] \(doneBytes.byteText) of \(totalBytes.byteText), \(Int(speed).byteText)/s, "
        + "\(Self.duration(left)) left  \(subject.printable.prefix(40))\u{1B}[K")
  }

  /// Clears the line.
  mutating func finish() {
    if isVisible { StandardError.write("\r\u{1B}[K") }
    isVisible = false
  }

  fileprivate static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    return whole < 60 ? "\(whole) s" : String(format: "%d:%02d min", whole / 60, whole % 60)
  }
}

/// How many are done and how fast, on a terminal's last line, and if it is known how many there are, the time left.
struct CountProgress {
  private let noun: String
  private let total: Int?
  private let start = tusk_monotonic_nanoseconds()
  private var shown: UInt64 = 0
  private(set) var count = 0

  private static let intervalNanoseconds: UInt64 = 100_000_000

  init(_ noun: String, total: Int? = nil) {
    self.noun = noun
    self.total = total
  }

  mutating func add() { advance(to: count + 1) }

  mutating func advance(to count: Int) {
    self.count = count
    let now = tusk_monotonic_nanoseconds()
    guard StandardError.isTerminal, now - shown >= Self.intervalNanoseconds else { return }
    shown = now
    let rate = Double(count) / secondsSince(start)
    var line = "\(count.counted(noun)), \(Int(rate).grouped)/s"
    if let total {
      let left = ProgressBar.duration(rate > 0 ? Double(total - count) / rate : 0)
      line = "\(count.grouped) of \(total.counted(noun)), \(Int(rate).grouped)/s, \(left) left"
    }
    StandardError.write("\r\(line)\u{1B}[K")
  }

  /// Clears the line.
  mutating func finish() {
    if shown > 0 { StandardError.write("\r\u{1B}[K") }
    shown = 0
  }
}
