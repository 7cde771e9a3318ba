import ArgumentParser

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write tasks back for PyTorch.",
    discussion: """
        tusk export task mine.tusk --backbone t5.tusk --format adapterhub -o mine
      """, subcommands: [ExportTask.self])
}
