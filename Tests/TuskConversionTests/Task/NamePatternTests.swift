import Testing

@testable import TuskConversion

/// Patterns against what Python's `re.match(r"(.*\.)?(PATTERN)$", NAME)` says.
@Suite struct NamePatternTests {
  private static let name = "encoder.block.10.layer.0.SelfAttention.q"

  @Test(
    arguments: [
      ("q", true), ("SelfAttention.q", true), ("Attention.q", false), ("^encoder.*q", true), ("^block.*q", false),
      (#"block\.1"#, false), (#"block\.1\d\..*"#, true), (#"block\.(0|10)\..*"#, true), (#"block\.[2-9]+\..*"#, false),
      (#"block\.[^2-9]+.*"#, true), ("encoder", false), (".*", true), ("", false), ("q$", true), ("Q", false),
      ("(?:a|b)*q", true), (#"\w+"#, true), ("q+", true), ("qq?", true), ("q?q?q", true), ("layer", false),
      (#"layer.0.[\w.]+"#, true), ("[.q]", true),
    ])
  func itMatchesAsPythonDoes(pattern: String, matches: Bool) throws {
    #expect(try #require(NamePattern(pattern)).matches(Self.name) == matches)
  }

  @Test(arguments: ["(", ")", "[", "[b-a]", "*", "a{2}", "a**", #"\b"#, #"\"#, "(?=a)", "a|*", "[[:alpha:]]", "]"])
  func whatItCannotMatchIsRefused(pattern: String) { #expect(NamePattern(pattern) == nil) }

  /// Backtracking would take 2^60 steps.
  @Test func nestedRepetitionTakesLinearTime() throws {
    let pattern = try #require(NamePattern("(((a+)+)+)+b"))
    #expect(!pattern.matches(String(repeating: "a", count: 60)))
    #expect(NamePattern(String(repeating: "(", count: 1000)) == nil)
    #expect(NamePattern(String(repeating: "a", count: 2000)) == nil)
  }
}
