// See stats.h.
// record() runs on lanes and io threads, tick() on the HTTP face's thread. Always holds: a point of
// the history takes exactly what was recorded since the one before.
#include "net/stats.h"

#include <algorithm>

namespace vecserve::net {

namespace {

std::uint64_t refusals_of(const DispatchStats& stats) {
  std::uint64_t sum = stats.shed;
  for (const std::uint64_t count : stats.refused) sum += count;
  return sum;
}

}  // namespace

Op op_of(Verb verb) {
  switch (verb) {
    case Verb::search:
    case Verb::range_search:
      return Op::search;
    case Verb::upsert:
    case Verb::insert:
    case Verb::update:
    case Verb::erase:
    case Verb::erase_where:
      return Op::write;
    case Verb::get:
    case Verb::multi_get:
    case Verb::exists:
    case Verb::count:
    case Verb::scan:
      return Op::read;
    default:
      return Op::other;
  }
}

std::string_view to_string(Op op) {
  static constexpr std::array<std::string_view, kOps> kNames = {"search", "write", "read", "other"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view to_string(Stage stage) {
  static constexpr std::array<std::string_view, kStages> kNames = {
      "total", "queue", "batch_wait", "scan", "rescore", "payload", "run", "reply"};
  return kNames[static_cast<std::size_t>(stage)];
}

ServerStats::ServerStats(const Serving& serving, const engine::Clock& clock)
    : serving_(serving), clock_(clock), ticked_(clock.steady_now()) {
  history_.reserve(limits::history_points);
}

void ServerStats::record(const ReplyRecord& reply) {
  const Op op = op_of(reply.verb);
  const auto at = static_cast<std::size_t>(op);
  const auto code = std::min(static_cast<std::size_t>(reply.code), kCodes - 1);
  outcomes_[at][code].fetch_add(1, std::memory_order_relaxed);
  if (reply.served == nullptr) return;
  const ServedStages& served = *reply.served;
  if (reply.code == StatusCode::deadline_exceeded) {
    expired_[served.batch_size == 0 ? 0 : 1].fetch_add(1, std::memory_order_relaxed);
  }
  slow_.add(reply, clock_.unix_ms());
  // A refusal takes next to nothing and would make the percentiles look good; it counts above.
  if (reply.code != StatusCode::ok) return;
  const std::array<std::uint64_t, kStages> stages = {
      served.total_ns,   served.queue_ns, served.batch_ns, served.scan_ns,
      served.rescore_ns, served.fetch_ns, served.run_ns,   served.send_ns};
  // Stages within the engine are known of searches only.
  for (std::size_t stage = 0; stage < kStages; ++stage) {
    const bool inner = stage >= static_cast<std::size_t>(Stage::scan) &&
                       stage <= static_cast<std::size_t>(Stage::fetch);
    if (inner && op != Op::search) continue;
    times_[at][stage].record(stages[stage]);
  }
  if (op == Op::search) {
    batch_sizes_.record(served.batch_size);
    if (served.certified) certified_.fetch_add(1, std::memory_order_relaxed);
  }
}

HistoryPoint ServerStats::make_point() {
  const auto now = clock_.steady_now();
  HistoryPoint point;
  point.unix_ms = clock_.unix_ms();
  point.seconds = std::chrono::duration<double>(now - ticked_).count();
  ticked_ = now;
  engine::Histogram interval;
  times_[static_cast<std::size_t>(Op::search)][0].take_interval(interval);
  point.searches = interval.total();
  point.search_p50_ns = interval.value_at(0.5);
  point.search_p99_ns = interval.value_at(0.99);
  point.search_p999_ns = interval.value_at(0.999);
  times_[static_cast<std::size_t>(Op::write)][0].take_interval(interval);
  point.writes = interval.total();
  point.write_p99_ns = interval.value_at(0.99);
  const DispatchStats searches = serving_.searches().stats();
  for (const std::uint64_t count : searches.queued) point.queued += count;
  point.lanes_busy = searches.lanes_busy;
  const std::uint64_t batches = searches.batches - searches_before_.batches;
  if (batches != 0) {
    point.batch_mean = static_cast<double>(searches.batch_works - searches_before_.batch_works) /
                       static_cast<double>(batches);
  }
  searches_before_ = searches;
  const std::uint64_t refused = refusals_of(searches) + refusals_of(serving_.writes().stats()) +
                                refusals_of(serving_.reads().stats());
  point.refused = refused - refused_before_;
  refused_before_ = refused;
  return point;
}

void ServerStats::tick() {
  const std::lock_guard lock(mutex_);
  const HistoryPoint point = make_point();
  if (history_.size() < limits::history_points) {
    history_.push_back(point);
    return;
  }
  history_[history_next_] = point;
  history_next_ = (history_next_ + 1) % history_.size();
}

std::vector<HistoryPoint> ServerStats::history() const {
  const std::lock_guard lock(mutex_);
  std::vector<HistoryPoint> points = history_;
  std::rotate(points.begin(), points.begin() + static_cast<std::ptrdiff_t>(history_next_),
              points.end());
  return points;
}

std::vector<SlowRequest> ServerStats::slowest() const {
  return slow_.slowest(clock_.unix_ms());
}

void ServerStats::read(Op op, Stage stage, engine::Histogram& out) const {
  const std::lock_guard lock(mutex_);
  times_[static_cast<std::size_t>(op)][static_cast<std::size_t>(stage)].read(out);
}

void ServerStats::read_batch_sizes(engine::Histogram& out) const {
  const std::lock_guard lock(mutex_);
  batch_sizes_.read(out);
}

std::uint64_t ServerStats::outcomes(Op op, StatusCode code) const {
  const auto at = std::min(static_cast<std::size_t>(code), kCodes - 1);
  return outcomes_[static_cast<std::size_t>(op)][at].load(std::memory_order_relaxed);
}

std::uint64_t ServerStats::expired(bool began) const {
  return expired_[began ? 1 : 0].load(std::memory_order_relaxed);
}

std::uint64_t ServerStats::certified() const {
  return certified_.load(std::memory_order_relaxed);
}

}  // namespace vecserve::net
