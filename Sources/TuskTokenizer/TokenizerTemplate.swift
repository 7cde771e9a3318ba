import TuskFormat

extension Tokenizer {
  private struct Item {
    /// Nil for one of the texts.
    var id: Int32?
    var text = 0
    var typeId: Int32 = 0
  }

  /// The ids of one text or two with all that the model expects around them, and the type id of each.
  ///
  /// What is too much is removed as Hugging Face's `truncation=True` does it: from the end of the longer text, and once both
  /// are equally long from both, the second keeping one more where the room is odd.
  /// - Parameter maximumTokens: the most ids the answer may have; the tokens around the texts stay even if they alone are more.
  /// - Throws: `TokenizerError.Kind.textTooLong`.
  public func encodePair(
    _ first: [UInt8], _ second: [UInt8]?, maximumTokens: Int?
  ) throws(TokenizerError) -> (ids: [Int32], typeIds: [Int32]) {
    var texts = [try encode(first, appendingEndOfSequence: false)]
    if let second { texts.append(try encode(second, appendingEndOfSequence: false)) }
    let items = template(isPair: second != nil)
    if let maximumTokens {
      let room = max(0, maximumTokens - items.count { $0.id != nil })
      let kept = Self.keptCounts(texts[0].count, texts.count > 1 ? texts[1].count : 0, room: room)
      texts[0].removeSubrange(kept.first...)
      if texts.count > 1 { texts[1].removeSubrange(kept.second...) }
    }
    return arranged(texts, items)
  }

  /// How many ids of two texts fit in `room`.
  ///
  /// - Source: Hugging Face tokenizers 0.22, `TruncationStrategy::LongestFirst`.
  static func keptCounts(_ first: Int, _ second: Int, room: Int) -> (first: Int, second: Int) {
    guard first + second > room else { return (first, second) }
    let shorter = min(first, second)
    if 2 * shorter <= room { return first > second ? (room - shorter, shorter) : (shorter, room - shorter) }
    let half = room / 2
    return first > second ? (room - half, half) : (half, room - half)
  }

  /// `ids` with all that the template puts around one text.
  func surrounded(_ ids: consuming [Int32]) -> [Int32] {
    if case .unigram(let model) = model, model.beginId == nil {
      ids.append(model.eosId)
      return ids
    }
    return arranged([ids], template(isPair: false)).ids
  }

  private func arranged(_ texts: [[Int32]], _ items: [Item]) -> (ids: [Int32], typeIds: [Int32]) {
    var ids: [Int32] = []
    ids.reserveCapacity(texts.reduce(items.count) { $0 + $1.count })
    var typeIds: [Int32] = []
    typeIds.reserveCapacity(ids.capacity)
    for item in items {
      if let id = item.id { ids.append(id) } else { ids += texts[item.text] }
      typeIds.append(contentsOf: repeatElement(item.typeId, count: ids.count - typeIds.count))
    }
    return (ids, typeIds)
  }

  private func template(isPair: Bool) -> [Item] {
    switch model {
    case .unigram(let model):
      let end = Item(id: model.eosId)
      var items = [Item(text: 0), end]
      if let beginId = model.beginId { items = [Item(id: beginId)] + items }
      if isPair { items += model.beginId == nil ? [Item(text: 1), end] : [end, Item(text: 1), end] }
      return items
    case .wordPiece(let model), .byteLevel(let model):
      let range = isPair ? model.pairTemplate : model.template
      return bytes.withSpan { section in
        var items: [Item] = []
        for offset in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
          let word = section.word(at: offset)
          let value = word & SubwordLayout.TemplateItem.valueMask
          let isText = word & SubwordLayout.TemplateItem.isText != 0
          // An item that names nothing gives nothing.
          guard value < (isText ? (isPair ? 2 : 1) : UInt32(model.pieces.count)) else { continue }
          let typeId = word >> SubwordLayout.TemplateItem.typeShift & (SubwordLayout.TemplateItem.typeLimit - 1)
          items.append(
            Item(id: isText ? nil : Int32(value), text: isText ? Int(value) : 0, typeId: Int32(typeId)))
        }
        return items
      }
    }
  }
}
