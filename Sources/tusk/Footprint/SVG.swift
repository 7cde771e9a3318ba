import Foundation
import TuskConversion

/// A drawing as text: rectangles, lines and words, in pixels.
struct SVG {
  enum Anchor: String { case start, middle, end }

  private let width: Int
  private var elements: [String] = []

  init(width: Int) { self.width = width }

  mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, fill: String) {
    elements.append(
      "<rect x=\"\(x.pixels)\" y=\"\(y.pixels)\" width=\"\(width.pixels)\" height=\"\(height.pixels)\" fill=\"\(fill)\"/>"
    )
  }

  mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, stroke: String = "#888888") {
    elements.append(
      "<line x1=\"\(x1.pixels)\" y1=\"\(y1.pixels)\" x2=\"\(x2.pixels)\" y2=\"\(y2.pixels)\" stroke=\"\(stroke)\"/>")
  }

  mutating func text(
    _ text: String, _ x: Double, _ y: Double, size: Int = 14, fill: String = "#222222", isBold: Bool = false,
    anchor: Anchor = .start
  ) {
    let weight = isBold ? " font-weight=\"bold\"" : ""
    elements.append(
      "<text x=\"\(x.pixels)\" y=\"\(y.pixels)\" font-size=\"\(size)\" fill=\"\(fill)\"\(weight) "
        + "text-anchor=\"\(anchor.rawValue)\">\(text.escaped)</text>")
  }

  /// The file.
  func document(height: Int) -> String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" \
    font-family="Helvetica, Arial, DejaVu Sans, sans-serif">
    <rect width="\(width)" height="\(height)" fill="#ffffff"/>
    \(elements.joined(separator: "\n"))
    </svg>

    """
  }

  /// About how wide `text` is: no fonts are at hand, and labels need room to spare anyway.
  static func width(of text: String, size: Int = 14) -> Double { Double(text.count * size) * 0.56 }
}

/// Writes a drawing, replacing the file of that name.
func writeChart(_ svg: String, path: String) throws(Failure) {
  do { try Data(svg.utf8).write(to: URL(fileURLWithPath: path)) } catch {
    throw Failure(Failure.inputOutput, "\(path.printable): \(error.localizedDescription)")
  }
}

extension Double {
  /// To a tenth of a pixel.
  fileprivate var pixels: String {
    let tenths = Int((self * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
  }
}

extension String {
  fileprivate var escaped: String {
    var result = ""
    for character in self {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.append(character)
      }
    }
    return result
  }
}
