import ArgumentParser
import TuskTraining

/// Metrics separated by commas.
struct MetricList: ExpressibleByArgument {
  let metrics: [Metric]

  init?(argument: String) {
    var metrics: [Metric] = []
    for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let metric = Metric(rawValue: String(name)), !metrics.contains(metric) else { return nil }
      metrics.append(metric)
    }
    self.metrics = metrics
  }
}
