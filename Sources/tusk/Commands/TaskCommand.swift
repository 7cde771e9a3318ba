import ArgumentParser

struct TaskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "task", abstract: "Make tasks from other tasks.",
    discussion: """
        tusk task average mnli.tusk rte.tusk --output both.tusk
      """, subcommands: [AverageTasks.self])
}
