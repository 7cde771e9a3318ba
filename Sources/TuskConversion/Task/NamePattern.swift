/// A regular expression of the kind that settings name modules by, matched in time linear in the text.
///
/// The subset of Python's `re` that such settings use: literals, escaped characters, `\d`, `\w`, `.`, classes, groups,
/// alternatives, `*`, `+`, `?`, `^` and `$`. A pattern matches a whole name, or what follows one of its dots.
struct NamePattern {
  private enum Step {
    case byte((UInt8) -> Bool)
    /// Goes on at both.
    case split(Int, Int)
    case jump(Int)
    case start
    case end
    case match
  }

  private static let maximumBytes = 1024

  private var steps: [Step] = []

  /// - Returns: nil for a pattern beyond the subset.
  init?(_ text: String) {
    var parser = Parser(Array(text.utf8))
    guard parser.bytes.count <= Self.maximumBytes, let node = parser.alternatives(depth: 0), parser.isAtEnd else {
      return nil
    }
    append(node)
    steps.append(.match)
  }

  /// Whether Python's `re.match(r"(.*\.)?(pattern)$", name)` finds something.
  func matches(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    var current: Set<Int> = []
    follow(0, at: 0, of: bytes.count, &current)
    for (position, byte) in bytes.enumerated() {
      var next: Set<Int> = []
      for index in current {
        if case .byte(let accepts) = steps[index], accepts(byte) {
          follow(index + 1, at: position + 1, of: bytes.count, &next)
        }
      }
      if byte == UInt8(ascii: ".") { follow(0, at: position + 1, of: bytes.count, &next) }
      current = next
    }
    return current.contains(steps.count - 1)
  }

  /// Adds every step that can be reached from `index` without reading a byte.
  private func follow(_ index: Int, at position: Int, of count: Int, _ states: inout Set<Int>) {
    var pending = [index]
    while let index = pending.popLast() {
      guard states.insert(index).inserted else { continue }
      switch steps[index] {
      case .split(let first, let second): pending += [first, second]
      case .jump(let target): pending.append(target)
      case .start: if position == 0 { pending.append(index + 1) }
      case .end: if position == count { pending.append(index + 1) }
      case .byte, .match: break
      }
    }
  }

  private mutating func append(_ node: Node) {
    switch node {
    case .byte(let accepts): steps.append(.byte(accepts))
    case .start: steps.append(.start)
    case .end: steps.append(.end)
    case .sequence(let nodes): for node in nodes { append(node) }
    case .either(let nodes):
      var jumps: [Int] = []
      for node in nodes.dropLast() {
        let split = steps.count
        steps.append(.jump(0))
        append(node)
        jumps.append(steps.count)
        steps.append(.jump(0))
        steps[split] = .split(split + 1, steps.count)
      }
      append(nodes[nodes.count - 1])
      for jump in jumps { steps[jump] = .jump(steps.count) }
    case .repeated(let node, let minimum, let isBounded):
      let start = steps.count
      if minimum == 0 { steps.append(.jump(0)) }
      append(node)
      if !isBounded { steps.append(.split(start, steps.count + 1)) }
      if minimum == 0 { steps[start] = .split(start + 1, steps.count) }
    }
  }

  private indirect enum Node {
    case byte((UInt8) -> Bool)
    case start
    case end
    case sequence([Node])
    case either([Node])
    case repeated(Node, minimum: Int, isBounded: Bool)
  }

  private struct Parser {
    private static let maximumDepth = 32

    let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    private var next: UInt8? { isAtEnd ? nil : bytes[position] }

    private mutating func consume(_ scalar: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: scalar) else { return false }
      position += 1
      return true
    }

    mutating func alternatives(depth: Int) -> Node? {
      guard depth <= Self.maximumDepth else { return nil }
      var nodes: [Node] = []
      repeat {
        guard let node = sequence(depth: depth) else { return nil }
        nodes.append(node)
      } while consume("|")
      return nodes.count == 1 ? nodes[0] : .either(nodes)
    }

    private mutating func sequence(depth: Int) -> Node? {
      var nodes: [Node] = []
      while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
        guard var node = atom(depth: depth) else { return nil }
        if consume("*") {
          node = .repeated(node, minimum: 0, isBounded: false)
        } else if consume("+") {
          node = .repeated(node, minimum: 1, isBounded: false)
        } else if consume("?") {
          node = .repeated(node, minimum: 0, isBounded: true)
        }
        nodes.append(node)
      }
      return .sequence(nodes)
    }

    private mutating func atom(depth: Int) -> Node? {
      guard let byte = next else { return nil }
      position += 1
      switch byte {
      case UInt8(ascii: "("):
        if consume("?") { guard consume(":") else { return nil } }
        guard let node = alternatives(depth: depth + 1), consume(")") else { return nil }
        return node
      case UInt8(ascii: "["): return byteClass().map { .byte($0) }
      case UInt8(ascii: "."): return .byte { $0 != UInt8(ascii: "\n") }
      case UInt8(ascii: "^"): return .start
      case UInt8(ascii: "$"): return .end
      case UInt8(ascii: "\\"): return escaped().map { .byte($0) }
      case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"), UInt8(ascii: "}"),
        UInt8(ascii: "]"):
        return nil
      default: return .byte { $0 == byte }
      }
    }

    /// What an escape stands for; the position is behind the backslash.
    private mutating func escaped() -> ((UInt8) -> Bool)? {
      guard let byte = next else { return nil }
      position += 1
      switch byte {
      case UInt8(ascii: "d"): return { Self.isDigit($0) }
      case UInt8(ascii: "w"): return { Self.isDigit($0) || Self.isLetter($0) || $0 == UInt8(ascii: "_") }
      default: return Self.isDigit(byte) || Self.isLetter(byte) ? nil : { $0 == byte }
      }
    }

    private mutating func byteClass() -> ((UInt8) -> Bool)? {
      let isNegated = consume("^")
      var members: Set<UInt8> = []
      repeat {
        guard var low = next, low != UInt8(ascii: "[") else { return nil }
        position += 1
        if low == UInt8(ascii: "\\") {
          guard let accepts = escaped() else { return nil }
          members.formUnion((0...255).filter(accepts))
          continue
        }
        var high = low
        if next == UInt8(ascii: "-"), position + 1 < bytes.count, bytes[position + 1] != UInt8(ascii: "]") {
          high = bytes[position + 1]
          position += 2
          guard low <= high, high != UInt8(ascii: "\\") else { return nil }
        }
        while low < high {
          members.insert(low)
          low += 1
        }
        members.insert(high)
      } while !consume("]")
      return { members.contains($0) != isNegated }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLetter(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
  }
}
