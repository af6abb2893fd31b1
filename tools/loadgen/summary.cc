// From records to histograms. Comes after the run, when nothing writes records any more; main
// thread. Always holds: requests that were never answered appear in the outcomes, and in no
// percentile, which the verdict then says.
#include "tools/loadgen/summary.h"

#include <algorithm>

#include "tools/report/correlation.h"

namespace vecserve::loadgen {
namespace {

using engine::Histogram;

std::uint64_t difference(std::uint64_t later, std::uint64_t earlier) {
  return later > earlier ? later - earlier : 0;
}

void add_stages(const Record& record, Summary& summary) {
  const Stages& stages = record.stages;
  const std::uint64_t service = difference(record.done_ns, record.sent_ns);
  summary.network.record(difference(service, stages.total_ns()));
  summary.queue.record(stages.queue_ns);
  summary.batch.record(stages.batch_ns);
  summary.scan.record(stages.scan_ns);
  summary.rescore.record(stages.rescore_ns);
  summary.fetch.record(stages.fetch_ns);
  summary.send.record(stages.send_ns);
  summary.has_stages = summary.has_stages || stages.total_ns() > 0;
}

void add_record(const Record& record, Summary& summary) {
  ++summary.measured;
  ++summary.outcomes[static_cast<std::size_t>(record.outcome)];
  const std::uint64_t ready = std::max(record.intended_ns, record.freed_ns);
  const std::uint64_t lag = difference(record.sent_ns, ready);
  summary.lag.record(lag);
  summary.blocked.record(difference(record.freed_ns, record.intended_ns));
  if (lag <= kOnTimeNs) summary.adherence += 1.0;
  const std::uint64_t response = difference(record.done_ns, record.intended_ns);
  if (record.outcome == Outcome::refused) {
    summary.refusal.record(response);
    if (record.stages.told_ns > 0) summary.refusal_told.record(record.stages.told_ns);
  }
  if (record.outcome != Outcome::ok) return;
  summary.response.record(response);
  summary.service.record(difference(record.done_ns, record.sent_ns));
  add_stages(record, summary);
}

// Where the slowest of a hundred spent their service time.
void split_tail(const std::vector<Record>& records, std::size_t sent, const Cut& cut,
                Summary& summary) {
  const std::uint64_t threshold = summary.service.value_at(0.99);
  double whole = 0.0;
  double batch_sizes = 0.0;
  double answered = 0.0;
  for (std::size_t i = 0; i < sent; ++i) {
    const Record& record = records[i];
    if (record.outcome != Outcome::ok || !cut.keeps(record.intended_ns)) continue;
    batch_sizes += record.stages.batch_size;
    answered += 1.0;
    const std::uint64_t service = difference(record.done_ns, record.sent_ns);
    if (service < threshold) continue;
    const Stages& stages = record.stages;
    const std::array<std::uint64_t, 7> parts = {difference(service, stages.total_ns()),
                                                stages.queue_ns,
                                                stages.batch_ns,
                                                stages.scan_ns,
                                                stages.rescore_ns,
                                                stages.fetch_ns,
                                                stages.send_ns};
    for (std::size_t part = 0; part < parts.size(); ++part) {
      summary.tail_shares[part] += static_cast<double>(parts[part]);
      whole += static_cast<double>(parts[part]);
    }
  }
  if (whole > 0.0) {
    for (double& share : summary.tail_shares) share /= whole;
  }
  if (answered > 0.0) summary.mean_batch_size = batch_sizes / answered;
}

double median_of(std::span<const std::uint64_t> values) {
  Histogram histogram;
  for (const std::uint64_t value : values) histogram.record(value);
  return static_cast<double>(histogram.value_at(0.5));
}

void estimate(const std::vector<std::uint64_t>& responses, Summary& summary) {
  const std::size_t quarter = responses.size() / 4;
  if (quarter > 0) {
    const std::span<const std::uint64_t> all(responses);
    summary.growth = median_of(all.last(quarter)) / std::max(1.0, median_of(all.first(quarter)));
  }
  std::uint64_t missing = 0;
  for (std::size_t i = 0; i < kQuantiles.size(); ++i) {
    const auto independence =
        report::effective_samples_at(responses, summary.response, kQuantiles[i]);
    engine::QuantileEstimate& estimate = summary.quantiles[i];
    estimate = engine::estimate_quantile(summary.response, kQuantiles[i], independence.effective,
                                         engine::kConfidence, !independence.correlated);
    // What cannot be said of p99 cannot be said of p99.9.
    if (kQuantiles[i] < 1.0) {
      missing = std::max(missing, estimate.missing);
      estimate.missing = missing;
    }
  }
}

}  // namespace

Summary summarise(const Records& records, const SendResult& result, const Cut& planned_cut,
                  bool closed_loop) {
  Summary summary;
  Cut cut = planned_cut;
  if (result.stopped) {
    // What was not sent any more was not offered.
    cut.duration_ns = result.sent == 0 ? 0 : records.all()[result.sent - 1].intended_ns + 1;
  }
  summary.stopped = result.stopped;
  summary.planned = records.all().size();
  summary.sent = result.sent;
  summary.clocks_differ = result.clocks_differ;
  summary.closed_loop = closed_loop;
  summary.drained = result.drained;
  summary.seconds = cut.seconds();
  std::vector<std::uint64_t> responses;
  responses.reserve(result.sent);
  for (std::size_t i = 0; i < result.sent; ++i) {
    const Record& record = records.all()[i];
    if (!cut.keeps(record.intended_ns)) continue;
    add_record(record, summary);
    if (record.outcome == Outcome::ok) {
      responses.push_back(difference(record.done_ns, record.intended_ns));
    }
  }
  if (summary.measured > 0) summary.adherence /= static_cast<double>(summary.measured);
  if (summary.seconds > 0.0) {
    summary.offered = static_cast<double>(summary.measured) / summary.seconds;
    summary.goodput = static_cast<double>(summary.outcomes[static_cast<std::size_t>(Outcome::ok)]) /
                      summary.seconds;
  }
  split_tail(records.all(), result.sent, cut, summary);
  estimate(responses, summary);
  return summary;
}

}  // namespace vecserve::loadgen
