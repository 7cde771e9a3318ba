import CTuskSystem
import TuskFormat

/// T5's position scheme: a learned number per head and bucket of distances, added to attention scores.
/// - Source: Raffel et al. 2020, section 2.1
public enum RelativeBias {
  /// The bucket of a key at distance `distance = key index - query index`.
  ///
  /// Half of the buckets (of each direction, if `isBidirectional`) are for single distances, the rest grow
  /// logarithmically up to `maxDistance`; in float32, as the models were trained. Unless `isBidirectional`, a distance > 0,
  /// which only keys behind a prefix have, counts as 0.
  public static func bucket(
    distance: Int, isBidirectional: Bool, bucketCount: Int, maxDistance: Int
  ) -> Int {
    let perSide = isBidirectional ? bucketCount / 2 : bucketCount
    let offset = isBidirectional && distance > 0 ? perSide : 0
    let span = isBidirectional ? abs(distance) : max(-distance, 0)
    let exact = perSide / 2
    if span < exact { return offset + span }
    // perSide of 2 or 3 has exact = 1 and no room for a logarithm if maxDistance is 1, which the format excludes.
    let ratio = tusk_log_f32(Float(span) / Float(exact)) / tusk_log_f32(Float(maxDistance) / Float(exact))
    let steps = Int(ratio * Float(perSide - exact))
    return offset + min(exact + max(steps, 0), perSide - 1)
  }

  /// Fills `table` [H, distances] for the distances `first...`, from the table of buckets [bucketCount, H].
  package static func fill(
    _ table: UnsafeMutablePointer<Float>, firstDistance: Int, distanceCount: Int, isBidirectional: Bool,
    _ buckets: WeightMatrix, _ config: BackboneConfig
  ) {
    for position in 0..<distanceCount {
      let row = bucket(
        distance: firstDistance + position, isBidirectional: isBidirectional, bucketCount: config.bucketCount,
        maxDistance: config.maxDistance)
      let values = buckets.floats(row: row)
      for head in 0..<config.headCount { table[head * distanceCount + position] = values[head] }
    }
  }
}
