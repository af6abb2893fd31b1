// Runs for the search. Comes above run_load; the looking on happens on the caller's thread while
// the sender sends. Always holds: a run looks at its samples at the planned numbers of them and at
// no others, which is what bounds the chance of a false pass.
#include "tools/loadgen/find_knee.h"

#include <algorithm>
#include <atomic>
#include <span>

namespace vecserve::loadgen {
namespace {

// Follows the records of a run in their order and decides at the planned looks.
class Watcher {
 public:
  Watcher(const Slo& slo, const LoadPlan& plan)
      : slo_(slo),
        cut_{static_cast<std::uint64_t>(plan.warm_up_s * 1e9), 0,
             static_cast<std::uint64_t>(plan.schedule.duration_s * 1e9)} {}

  void follow(Records& records) {
    while (next_ < records.all().size() && records.is_complete(next_)) {
      add(records.all()[next_++]);
      const std::size_t samples_max = records.all().size() - skipped_;
      if (decision_ == Decision::open && look_ < kLooks - 1 &&
          latencies_.size() >= look_at(samples_max, look_)) {
        look(look_ >= kLooks - 2);
        ++look_;
      }
      if (decision_ != Decision::open) return;
    }
  }
  // After the run: what was never answered broke the limit too. The last look, if none decided.
  void finish(Records& records, std::size_t sent) {
    if (decision_ != Decision::open) return;
    for (; next_ < sent; ++next_) add(records.all()[next_]);
    look(true);
  }

  [[nodiscard]] Decision decision() const { return decision_; }
  [[nodiscard]] std::size_t samples() const { return latencies_.size(); }
  [[nodiscard]] double share_over() const {
    return static_cast<double>(over_) /
           static_cast<double>(std::max<std::size_t>(1, latencies_.size()));
  }

 private:
  // A queue that grows starts out empty, so the first looks may fail a rate but not pass it, and
  // none passes while the last quarter breaks the limit too often.
  void look(bool may_pass) {
    const Decision decided = decide(latencies_, slo_);
    if (decided == Decision::pass) {
      const auto last = std::span(latencies_).last(latencies_.size() / 4);
      const auto over = static_cast<double>(std::count_if(
          last.begin(), last.end(), [&](std::uint64_t ns) { return ns > slo_.limit_ns; }));
      if (!may_pass || over > (1.0 - slo_.quantile) * static_cast<double>(last.size())) return;
    }
    decision_ = decided;
  }

  void add(const Record& record) {
    if (!cut_.keeps(record.intended_ns)) {
      ++skipped_;
      return;
    }
    const bool answered = record.outcome == Outcome::ok;
    latencies_.push_back(answered ? record.done_ns - record.intended_ns
                                  : engine::HistogramCells::value_max);
    over_ += latencies_.back() > slo_.limit_ns ? 1u : 0u;
  }

  const Slo slo_;
  const Cut cut_;
  std::vector<std::uint64_t> latencies_;
  std::uint64_t over_ = 0;
  std::size_t next_ = 0;
  std::size_t skipped_ = 0;
  int look_ = 0;
  Decision decision_ = Decision::open;
};

}  // namespace

SweepPoint sweep_point(const RunReport& report) {
  SweepPoint point;
  point.rate = report.title.rate;
  point.goodput = report.summary.goodput;
  point.p50 = report.summary.quantiles[0];
  point.p99 = report.summary.quantiles[3];
  point.samples = report.summary.measured;
  point.judgement = report.judgement;
  return point;
}

KneeResult find_knee(const KneeSearch::Options& options, const LoadPlan& plan, Target& target,
                     const std::function<void(const SweepPoint&)>& step) {
  KneeResult result{KneeSearch(options), {}};
  while (!result.search.done()) {
    std::atomic<bool> stop{false};
    LoadPlan run_plan = plan;
    run_plan.schedule.rate = result.search.next_rate();
    run_plan.cool_down_s = 0.0;
    run_plan.sender.stop = &stop;
    Watcher watcher(options.slo, plan);
    Result<LoadRun> run = run_load(run_plan, target, [&](const LiveState& state) {
      watcher.follow(*state.records);
      if (watcher.decision() != Decision::open) stop.store(true);
    });
    if (!run.ok()) break;  // more than can be planned: what was found until here stands
    watcher.finish(*run->records, run->result.sent);
    SweepPoint point = sweep_point(run->report);
    point.decision = watcher.decision();
    point.share_over = watcher.share_over();
    point.samples = watcher.samples();
    if (run->report.summary.adherence < 0.95) point.decision = Decision::fail;
    KneeStep taken;
    taken.rate = point.rate;
    taken.decision = point.decision;
    taken.share_over = point.share_over;
    taken.samples = point.samples;
    taken.quantile_ns = run->report.summary.response.value_at(options.slo.quantile);
    result.search.add(taken);
    result.points.push_back(point);
    if (step) step(point);
  }
  return result;
}

}  // namespace vecserve::loadgen
