import CTuskSystem
import Foundation
import Testing

/// Rounded once from double precision, so equal to the C library's double function rounded to float.
@Suite struct MathTests {
  /// A float of every exponent, many of each.
  private static let positive = stride(from: UInt32(1), to: 0x7F80_0000, by: 9973).map { Float(bitPattern: $0) }

  @Test func theLogarithmIsCorrectlyRounded() {
    #expect(Self.positive.allSatisfy { tusk_log_f32($0) == Float(log(Double($0))) })
    #expect(tusk_log_f32(0) == -.infinity && tusk_log_f32(.infinity) == .infinity && tusk_log_f32(-1).isNaN)
  }

  @Test func theExponentialIsCorrectlyRounded() {
    for x in Self.positive + Self.positive.map({ -$0 }) where tusk_exp_f32(x) != Float(exp(Double(x))) {
      Issue.record("\(x)")
    }
    #expect(tusk_exp_f32(.infinity) == .infinity && tusk_exp_f32(-.infinity) == 0 && tusk_exp_f32(.nan).isNaN)
  }
}
