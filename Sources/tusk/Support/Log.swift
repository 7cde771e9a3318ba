import Logging
import TuskConversion

/// What a person should know beside the results.
let log = Logger(label: "tusk") { _ in StandardErrorLog() }

/// One line on standard error per message.
private struct StandardErrorLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let message = "\(event.message)".split(separator: "\n").map { String($0).printable }
    StandardError.write("tusk: \(event.level): \(message.joined(separator: " "))\n")
  }
}
