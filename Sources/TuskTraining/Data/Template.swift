/// A text made of words and of members of a line, one space between them. Written `"premise: {premise}"`.
struct Template: Equatable, Sendable, ExpressibleByStringLiteral {
  enum Part: Equatable, Sendable {
    case word(String)
    case member(String)
  }

  let parts: [Part]

  init(stringLiteral text: String) {
    parts = text.split(separator: " ").map { part in
      part.hasPrefix("{") && part.hasSuffix("}") ? .member(String(part.dropFirst().dropLast())) : .word(String(part))
    }
  }

  /// - Parameters:
  ///   - record: the line.
  ///   - fields: how members are read that are no text under their own name.
  /// - Throws: `.malformed` for a member that is not there or of another type.
  func text(of record: DataRecord, _ fields: [String: Field]) throws(TrainingError) -> String {
    var words: [String] = []
    for part in parts {
      switch part {
      case .word(let word): words.append(word)
      case .member(let name):
        words.append(try (fields[name] ?? Field(name)).text(of: record))
      }
    }
    return words.joined(separator: " ")
  }
}

/// Where a text stands in a line, and what is done to it.
struct Field: Equatable, Sendable {
  enum Form: Equatable, Sendable {
    case asItIs
    /// `<br>` to a space, `<b>` and `</b>` to nothing.
    case withoutMarkup
    /// ReCoRD's `@highlight` lines to sentences.
    case withoutHighlights
    /// An array's texts with ", " between them.
    case list
    /// WSC: the noun as `* noun *`, the pronoun as `# pronoun #`.
    case withMarkedSpans
  }

  /// Members that may hold it; the first one there counts.
  let paths: [String]
  let form: Form

  init(_ paths: String..., form: Form = .asItIs) {
    self.paths = paths
    self.form = form
  }

  func text(of record: DataRecord) throws(TrainingError) -> String {
    switch form {
    case .asItIs: try record.text(paths)
    case .withoutMarkup: withoutMarkup(try record.text(paths))
    case .withoutHighlights: withoutHighlights(try record.text(paths))
    case .list: try record.texts(paths[0]).joined(separator: ", ")
    case .withMarkedSpans: try withMarkedSpans(try record.text(paths), record)
    }
  }

  private func withoutMarkup(_ text: String) -> String {
    text.replacingScalars("<br>", with: " ").replacingScalars("<b>", with: "").replacingScalars("</b>", with: "")
  }

  /// The line break and mark behind a closing mark of a sentence become a space, all others a full stop and a space.
  private func withoutHighlights(_ text: String) -> String {
    var text = text
    let mark = "\n@highlight\n"
    for end in [".", "?", "!", "\"", "'"] { text = text.replacingScalars(end + mark, with: end + " ") }
    return text.replacingScalars(mark, with: ". ")
  }

  private func withMarkedSpans(_ text: String, _ record: DataRecord) throws(TrainingError) -> String {
    func span(_ number: Int) throws(TrainingError) -> (text: String, word: Int) {
      let name = "span\(number)"
      return (
        try record.text("\(name)_text", "target.\(name)_text"),
        try record.count(["\(name)_index", "target.\(name)_index"])
      )
    }
    let noun = try span(1)
    let pronoun = try span(2)
    // The two marks around the noun count as words.
    let shift = noun.word < pronoun.word ? 2 : 0
    let marked = Self.marking(Self.fitted(noun, to: text), at: noun.word, with: "*", in: text)
    return Self.marking(Self.fitted(pronoun, to: text), at: pronoun.word + shift, with: "#", in: marked)
  }

  /// A span as the release `wsc.fixed` of the data has it: where the text does not hold it as it is, with its first letter in
  /// the case of the word it begins with, and without a full stop at its end.
  private static func fitted(_ span: (text: String, word: Int), to text: String) -> String {
    let words = text.unicodeScalars.split { $0.properties.isWhitespace }
    guard !text.unicodeScalars.contains(span.text.unicodeScalars), span.word < words.count,
      let first = span.text.unicodeScalars.first
    else { return span.text }
    let isLower = words[span.word].first!.properties.isLowercase
    var fitted = isLower ? first.properties.lowercaseMapping : first.properties.uppercaseMapping
    fitted.unicodeScalars.append(contentsOf: span.text.unicodeScalars.dropFirst())
    while fitted.unicodeScalars.last == "." { fitted.unicodeScalars.removeLast() }
    return fitted.replacingScalars("\n", with: " ")
  }

  /// `span` between two marks if the text has it behind its first `word` words, each of which ends with one white space
  /// character; else the text as it is.
  private static func marking(_ span: String, at word: Int, with mark: String, in text: String) -> String {
    let scalars = text.unicodeScalars
    var start = scalars.startIndex
    for _ in 0..<word {
      let end = scalars[start...].firstIndex { $0.properties.isWhitespace }
      guard let end, end > start else { return text }
      start = scalars.index(after: end)
    }
    let rest = scalars[start...]
    guard rest.starts(with: span.unicodeScalars) else { return text }
    return "\(text[..<start])\(mark) \(span) \(mark)\(String(rest.dropFirst(span.unicodeScalars.count)))"
  }
}

extension String {
  /// The text with `other` in place of each `part`, compared scalar by scalar: a line end is one even behind a carriage
  /// return.
  fileprivate func replacingScalars(_ part: String, with other: String) -> String {
    String(unicodeScalars.replacing(part.unicodeScalars, with: other.unicodeScalars))
  }
}
