import ArgumentParser
import Foundation

/// The command line. Each command stands in a file of its own under `Commands` and calls the library; nothing is
/// computed here.
struct Tusk: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tusk",
    abstract: "Run a T5 or BERT-type model with tiny Compacter tasks in a few megabytes of private memory.",
    discussion: """
      A backbone is converted once; every task is a small file beside it:

        tusk convert backbone ./t5-base --output t5.tusk
        tusk convert task ./my-adapter --backbone t5.tusk --output mine.tusk
        tusk run t5.tusk --task mine.tusk "The house is wonderful."

      Results go to standard output, everything else to standard error. Exit codes: 0 done, 64 wrong usage, 65 bad \
      data, 66 no such input, 70 internal fault, 74 input or output failed, 75 memory budget cannot be met.
      """,
    version: "0.1.0",
    subcommands: [
      Convert.self, Export.self, TaskCommand.self, BundleTasks.self, Inspect.self, Verify.self, Tokenize.self,
      Run.self, Embed.self, Logits.self, Train.self, Eval.self, Study.self, Footprint.self, BenchCommand.self,
      Compare.self,
    ])
}

@main
enum Main {
  static func main() {
    // A reader that goes away (`tusk run ... | head -1`) is found by the write that fails, which ends quietly.
    signal(SIGPIPE, SIG_IGN)
    // So is a limit on the size of files, which ends like a full device.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var command = try Tusk.parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      StandardError.write("tusk: \(failure.message)\n")
      exit(failure.exitCode)
    } catch is ClosedPipe {
      exit(0)
    } catch {
      let isUnforeseen = Tusk.exitCode(for: error) == .failure
      if isUnforeseen {
        StandardError.write("tusk: internal fault: \(error)\n")
        exit(Failure.internalFault)
      }
      Tusk.exit(withError: error)
    }
  }
}
