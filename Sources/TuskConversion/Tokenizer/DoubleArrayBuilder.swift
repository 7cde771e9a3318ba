/// Builds the trie of formats/tokenizer.md from byte strings.
///
/// The children of a unit lie at `base XOR label`, all in one block of 256 units, and no two units share a base. So a base
/// is found by looking for a block whose free units fit the labels; only the newest blocks are tried, since old ones are
/// nearly full.
struct DoubleArrayBuilder {
  private static let blockUnits = 256
  private static let blocksTried = 16
  private static let free = UInt32.max
  /// The 21 offset bits of a unit; larger tries would need the scaled form.
  static let unitLimit = 1 << 21

  private var units: [UInt32] = []
  private var isBase: [Bool] = []
  private var freeInBlock: [Int] = []

  private struct Task {
    let keys: Range<Int>
    let depth: Int
    let unit: Int
  }

  /// The units of a trie in which each key leads to its value, or nil if it needs too many. No keys give no units.
  /// - Precondition: the keys are sorted, distinct, not empty, without zero bytes; the values are below 2^31.
  static func units(for keys: [(text: [UInt8], value: UInt32)]) -> [UInt32]? {
    guard !keys.isEmpty else { return [] }
    var builder = DoubleArrayBuilder()
    builder.addBlock()
    builder.occupy(0, 0)
    var tasks = [Task(keys: 0..<keys.count, depth: 0, unit: 0)]
    while let task = tasks.popLast() {
      guard builder.units.count <= unitLimit else { return nil }
      builder.addChildren(of: task, keys, &tasks)
    }
    return builder.units
  }

  private mutating func addChildren(
    of task: Task, _ keys: [(text: [UInt8], value: UInt32)], _ tasks: inout [Task]
  ) {
    // Sorted keys put the one that ends here first; it becomes a leaf under label 0.
    var labels: [UInt8] = []
    var groups: [Range<Int>] = []
    var first = task.keys.lowerBound
    while first < task.keys.upperBound {
      let label = keys[first].text.count > task.depth ? keys[first].text[task.depth] : 0
      var next = first + 1
      while next < task.keys.upperBound, keys[next].text[task.depth] == label { next += 1 }
      labels.append(label)
      groups.append(first..<next)
      first = next
    }
    let base = findBase(labels)
    isBase[base] = true
    units[task.unit] |= UInt32(task.unit ^ base) << 10
    for (label, group) in zip(labels, groups) {
      let child = base ^ Int(label)
      if label == 0 {
        occupy(child, 1 << 31 | keys[group.lowerBound].value)
        units[task.unit] |= 1 << 8
      } else {
        occupy(child, UInt32(label))
        tasks.append(Task(keys: group, depth: task.depth + 1, unit: child))
      }
    }
  }

  private mutating func findBase(_ labels: [UInt8]) -> Int {
    for block in max(0, freeInBlock.count - Self.blocksTried)..<freeInBlock.count
    where freeInBlock[block] >= labels.count {
      for unit in block * Self.blockUnits..<(block + 1) * Self.blockUnits where units[unit] == Self.free {
        let base = unit ^ Int(labels[0])
        // Base 0 would make the root the child of byte 0.
        if base != 0, !isBase[base], labels.allSatisfy({ units[base ^ Int($0)] == Self.free }) { return base }
      }
    }
    addBlock()
    return units.count - Self.blockUnits
  }

  private mutating func addBlock() {
    units.append(contentsOf: repeatElement(Self.free, count: Self.blockUnits))
    isBase.append(contentsOf: repeatElement(false, count: Self.blockUnits))
    freeInBlock.append(Self.blockUnits)
  }

  private mutating func occupy(_ unit: Int, _ value: UInt32) {
    units[unit] = value
    freeInBlock[unit / Self.blockUnits] -= 1
  }
}
