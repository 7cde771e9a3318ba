/// Measures of texts, as SQuAD and ReCoRD compare them.
///
/// - Source: Rajpurkar et al. 2016, evaluation script 1.1; Raffel et al. 2020, `t5.evaluation`
public enum AnswerMatch {
  private static let articles = ["a", "an", "the"]

  /// The words of a text that are compared: lower case, without ASCII punctuation and without "a", "an" and "the".
  static func words(_ text: String) -> [Substring] {
    var plain = String.UnicodeScalarView()
    for scalar in text.lowercased().unicodeScalars where !scalar.isPunctuation { plain.append(scalar) }
    var kept = String.UnicodeScalarView()
    var position = plain.startIndex
    while position < plain.endIndex {
      let isWord = plain[position].isWord
      let end = plain[position...].firstIndex { $0.isWord != isWord } ?? plain.endIndex
      let run = plain[position..<end]
      let isArticle = articles.contains { run.elementsEqual($0.unicodeScalars) }
      kept.append(contentsOf: isArticle ? " ".unicodeScalars[...] : run)
      position = end
    }
    return kept.split { $0.properties.isWhitespace }.map(Substring.init)
  }

  /// Whether `prediction` equals one of `golds` in all its words.
  public static func isExact(_ prediction: String, _ golds: [String]) -> Bool {
    let words = words(prediction)
    return golds.contains { isSame(Self.words($0), words) }
  }

  /// 2 P R / (P + R) of the words that `prediction` shares with the one of `golds` that gives most; 0 if it shares none.
  public static func f1(_ prediction: String, _ golds: [String]) -> Double {
    let words = words(prediction)
    return golds.map { f1(words, Self.words($0)) }.max() ?? 0
  }

  private static func f1(_ prediction: [Substring], _ gold: [Substring]) -> Double {
    var left: [[UInt8]: Int] = [:]
    for word in gold { left[Array(word.utf8), default: 0] += 1 }
    var shared = 0
    for word in prediction where left[Array(word.utf8), default: 0] > 0 {
      left[Array(word.utf8)]! -= 1
      shared += 1
    }
    guard shared > 0 else { return 0 }
    let precision = Double(shared) / Double(prediction.count)
    let recall = Double(shared) / Double(gold.count)
    return 2 * precision * recall / (precision + recall)
  }

  private static func isSame(_ a: [Substring], _ b: [Substring]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
  }
}

extension Unicode.Scalar {
  /// What Python calls `string.punctuation`.
  fileprivate var isPunctuation: Bool {
    switch value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
    default: false
    }
  }

  /// Python's `\w`, without the underscore, which is punctuation.
  fileprivate var isWord: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
      .letterNumber, .otherNumber:
      true
    default: false
    }
  }
}
