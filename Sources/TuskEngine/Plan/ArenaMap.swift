import TuskFormat

/// Lays regions one behind another, each 64-byte aligned. Sizes saturate: an impossible plan is refused by its total.
package struct ArenaMap {
  package private(set) var end = 0

  package init() {}

  package mutating func floats(_ rows: Int, _ columns: Int) -> Region { take(rows, columns, elementBytes: 4) }

  package mutating func take(_ rows: Int, _ columns: Int, elementBytes: Int) -> Region {
    let region = Region(offset: end, byteCount: rows.saturatingProduct(columns, elementBytes))
    let next = end.addingReportingOverflow(region.byteCount)
    let isTooLarge = next.overflow || next.partialValue > Int.max / 2
    end = isTooLarge ? Int.max / 2 : next.partialValue.roundedUp(to: 64)
    return region
  }
}

extension Int {
  /// The product of numbers that are not negative, at most `Int.max / 2`.
  package func saturatingProduct(_ factors: Int...) -> Int {
    var product = self
    for factor in factors {
      let next = product.multipliedReportingOverflow(by: factor)
      product = next.overflow ? Int.max / 2 : Swift.min(next.partialValue, Int.max / 2)
    }
    return product
  }
}
