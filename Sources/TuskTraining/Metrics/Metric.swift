/// A number that says how good answers are. The raw values are what the command line and files call it.
public enum Metric: String, CaseIterable, Sendable {
  /// Share of answers that are the right one.
  case accuracy
  /// F1 of the positive one of two labels; an answer that is neither counts as the wrong one.
  case f1
  /// Unweighted mean of the F1 of all labels.
  case macroF1 = "macro_f1"
  /// Matthews correlation coefficient of labels.
  case matthews
  /// Pearson correlation of numbers; an answer that is none counts as -1.
  case pearson
  /// Spearman rank correlation, likewise.
  case spearman
  /// Share of texts that equal a right one, as SQuAD normalizes them.
  case exactMatch = "exact_match"
  /// F1 of the words of a text, likewise, against the right one that fits best; mean over texts.
  case tokenF1 = "token_f1"
  /// MultiRC: F1 over the answers of all questions, as `f1`.
  case answerF1 = "f1a"
  /// MultiRC: share of questions with no wrong answer.
  case questionMatch = "question_match"

  /// What answers may be.
  public enum Domain: String, Sendable {
    case labels
    case numbers
    case texts
  }

  /// What answers have to be for the metric to say something.
  public var domains: [Domain] {
    switch self {
    case .accuracy: [.labels, .texts]
    case .f1, .macroF1, .matthews, .answerF1, .questionMatch: [.labels]
    case .pearson, .spearman: [.numbers]
    case .exactMatch, .tokenF1: [.texts]
    }
  }
}
