import Foundation
import Testing
import TuskFormat

@testable import TuskConversion

/// What is exported converts into the same task again.
@Suite struct ExportRoundTripTests {
  /// Every recorded task comes back from its own format, and from each other that does not refuse it.
  @Test(arguments: RecordedTask.checkpoints)
  func tasksComeBack(checkpoint: String) throws {
    let path = fixturesDirectory + "/" + checkpoint
    let backbone = try ConvertedBackbone(path)
    for recorded in RecordedTask.all where recorded.backbone == checkpoint {
      let task = try OpenTask(recorded.path, on: backbone, name: "same")
      for container in task.format == .authors ? [.torch] : TaskExport.Container.allCases {
        let exported = try ExportedTask(
          task.section, of: backbone, task.format, checkpoint: path, container: container)
        let again = try OpenTask(exported.path, on: backbone, name: "same")
        #expect(again.bytes == task.bytes, "\(recorded.directory)")
      }
      for format in TaskExport.Format.allCases where format != task.format {
        let exported: ExportedTask
        do throws(ConversionError) {
          exported = try ExportedTask(task.section, of: backbone, format, checkpoint: path)
        } catch {
          #expect(error.kind == .inexpressible, "\(recorded.directory)")
          continue
        }
        let again = try OpenTask(exported.path, on: backbone, name: "same")
        #expect(again.format == format)
        #expect(again.section.attachmentCount == task.section.attachmentCount, "\(recorded.directory)")
        #expect(again.section.head == task.section.head, "\(recorded.directory)")
      }
    }
  }
}
