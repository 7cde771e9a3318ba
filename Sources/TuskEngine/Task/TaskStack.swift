import TuskFormat

/// Up to four tasks that act on one source, one behind the other. Stored in place, so that mounting allocates nothing.
package struct TaskStack {
  static let limit = 4

  private var first: TaskSection?
  private var second: TaskSection?
  private var third: TaskSection?
  private var fourth: TaskSection?
  private(set) var count = 0

  package init() {}

  /// - Precondition: at most `limit` tasks.
  package init(_ tasks: [TaskSection]) {
    precondition(tasks.count <= Self.limit, "a stack has at most four tasks")
    for index in 0..<tasks.count { append(tasks[index]) }
  }

  mutating func append(_ task: TaskSection) {
    switch count {
    case 0: first = task
    case 1: second = task
    case 2: third = task
    default: fourth = task
    }
    count += 1
  }

  subscript(position: Int) -> TaskSection {
    switch position {
    case 0: first!
    case 1: second!
    case 2: third!
    default: fourth!
    }
  }

  /// Proves that these tasks have one meaning together: that of `adapters.composition.Stack`.
  /// - Throws: `tasksNotStackable` at the attachment of a later task that cannot follow an earlier one's.
  func requireStackable() throws(FormatError) {
    guard count > 1 else { return }
    for later in 1..<count {
      if let prompt = self[later].promptPosition { throw self[later].notStackable(prompt) }
      for slot in 0..<self[later].slots.count {
        for position in self[later].slot(at: slot).attachments {
          for earlier in 0..<later where !self[earlier].allows(self[later].attachment(at: position), slot: slot) {
            throw self[later].notStackable(position)
          }
        }
      }
    }
  }
}

extension TaskSection {
  /// Position of the prompt, or nil.
  fileprivate var promptPosition: Int? {
    slot(at: slots.encoderStart).attachments.first { position in
      if case .prompt = attachment(at: position) { return true }
      return false
    }
  }

  fileprivate func notStackable(_ position: Int) -> FormatError {
    FormatError(.tasksNotStackable, at: attachmentOffset(position), found: UInt64(position))
  }

  /// Whether `next` of a later task may act at `slot` behind what this task does there.
  ///
  /// Of two low-rank changes of one product the second takes what the first gives, so both must be square; scales of one
  /// product multiply. A scale of one task and a linear of another have no meaning together.
  fileprivate func allows(_ next: TaskAttachment, slot: Int) -> Bool {
    switch next {
    case .adapter: return true
    case .product(let product):
      guard let own = self.product(product.target, slot: slot) else { return true }
      guard let linear = own.linear else { return product.linear == nil || !own.hasScale }
      let width = self.linear(at: linear)
      return !product.hasScale && !own.hasScale && (product.linear == nil || width.inWidth == width.outWidth)
    case .prefix: return prefix(slot: slot) == nil
    case .prompt: return false
    }
  }
}

extension TaskProduct {
  fileprivate var hasScale: Bool { inputScale != nil || outputScale != nil }
}
