import Foundation
import Testing
import TuskEngine

@Test func goldenBucketsEqualThoseOfTransformers() throws {
  let units = ProcessInfo.processInfo.environment["TUSK_GOLDEN_UNITS"] ?? "\(GoldenFixtures.root)/units"
  let data = try Data(
    contentsOf: URL(fileURLWithPath: "\(units)/relative_position_buckets.json"))
  let table = try JSONDecoder().decode([String: [Int]].self, from: data)
  let distances = try #require(table["relative_position"])
  let cases = [
    ("buckets32_max128_bidirectional", true, 32, 128), ("buckets32_max128_causal", false, 32, 128),
    ("buckets16_max20_bidirectional", true, 16, 20), ("buckets16_max20_causal", false, 16, 20),
  ]
  for (name, isBidirectional, bucketCount, maxDistance) in cases {
    let expected = try #require(table[name])
    for (distance, bucket) in zip(distances, expected) {
      #expect(
        RelativeBias.bucket(
          distance: distance, isBidirectional: isBidirectional, bucketCount: bucketCount, maxDistance: maxDistance)
          == bucket, "\(name) at \(distance)")
    }
  }
}
