import ArgumentParser

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn PyTorch checkpoints into Tusk files.",
    discussion: """
      Checkpoints are read row by row, never as a whole, and nothing in them is executed. The output appears under \
      its name only when it is complete.

        tusk convert backbone ./t5-base --output t5.tusk
        tusk convert task ./my-adapter --backbone t5.tusk --output mine.tusk
      """,
    subcommands: [ConvertBackbone.self, ConvertTask.self])
}
