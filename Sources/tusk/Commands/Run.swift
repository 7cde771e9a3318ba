import ArgumentParser
import Foundation
import TuskConversion
import TuskEngine

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer texts.",
    discussion: """
      Text in, text out; with a file or standard input one line in, one line out, each as soon as it is there. An \
      encoder answers with a label and the scores of all labels, with numbers, or with an embedding, as the head of \
      the task or else of the backbone says.

        tusk run t5.tusk --task dates.tusk "Due on the fourth of May 2021"
        tusk run all.tusk --task dates --input letters.txt
        echo '{"text": "nine pounds", "task": "units"}' | tusk run all.tusk --json

      Several tasks of --task act together, each behind the one before it. With --json, a line that begins with { is an \
      object whose "text" is answered with the task its "task" names, or with the tasks of an array of names; every other \
      line is plain text. An encoder also takes a pair: "text" and "text2". The first line that cannot be \
      answered ends the command with exit code 65, unless --keep-going is given.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var texts: TextOptions
  @OptionGroup var length: LengthOptions

  @Option(help: "Ids separated by commas instead of text, for a backbone without tokenizer. Repeatable.")
  var inputIds: [IdList] = []

  @Option(help: "Longest answer, in tokens.")
  var maxNewTokens = 64

  @Option(help: "Hypotheses of a beam search; 1 decodes greedily.")
  var beams = 1

  @Flag(help: "Print one JSON object per answer: ids, score, text and, with --beams, all hypotheses; or label, scores.")
  var json = false

  @Flag(help: "Answer a faulty line with an empty one, or {\"error\": ...}, and go on; exit code 65 at the end.")
  var keepGoing = false

  func validate() throws {
    for (name, value) in [("--max-new-tokens", maxNewTokens), ("--beams", beams)]
    where !(1...1_000_000).contains(value) {
      throw ValidationError("\(name) takes 1 to 1000000")
    }
    if !inputIds.isEmpty && (!texts.text.isEmpty || texts.input != nil) {
      throw ValidationError("give texts or --input-ids, not both")
    }
  }

  func run() throws {
    let model = try model.open()
    let answerer = try Answerer(
      model,
      PlanRequest(
        sourceTokens: length.maxSourceTokens, targetTokens: maxNewTokens, beams: beams, threads: self.model.threadCount,
        budgetBytes: self.model.memoryBudget?.bytes), isCutting: length.truncate)
    defer { answerer.finish() }
    var isFaultless = true
    func deliver(_ result: Result<Reply, Failure>) throws {
      do {
        try write(try result.get())
      } catch let failure as Failure where keepGoing && failure.exitCode == Failure.badData {
        isFaultless = false
        StandardError.write("tusk: \(failure.message)\n")
        if json {
          try StandardOutput.write(json: ["error": failure.message])
        } else {
          try StandardOutput.write(line: "")
        }
      }
    }
    if inputIds.isEmpty {
      try answerer.requireTokenizer()
      try texts.eachText { text in
        let line: InputLine
        do throws(Failure) { line = try InputLine(text, isJSON: json) } catch {
          return try answerer.fail(error, deliver)
        }
        try answerer.answer(line, place: text.place, isFollowed: text.isFollowed, deliver: deliver)
      }
    } else {
      for (position, list) in inputIds.enumerated() {
        let place = "ids \(position + 1)"
        let result: Result<Reply, Failure>
        do throws(Failure) { result = .success(try answerer.answer(list.ids, place: place)) } catch {
          result = .failure(error)
        }
        try deliver(result)
      }
    }
    if !isFaultless { throw ExitCode(Failure.badData) }
  }

  private func write(_ answer: Reply) throws {
    if json {
      try StandardOutput.write(json: answer)
    } else {
      try StandardOutput.write(line: answer.line)
    }
  }
}
