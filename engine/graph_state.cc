// See graph_state.h.
// Any thread. Always holds: locks are held for as long as it takes to copy a pointer or a query.
// Comes below search and graph_keeper.
#include "engine/graph_state.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kMeasuredK = 10;
// Beams grow a little slower than k does for the same recall.
constexpr double kGrowth = 0.85;
// A sample of a thousand queries tells the recall within about half a percent: of what is asked to
// be left out this part is aimed for beside it, so that 0.95 comes out as 0.95 or more.
constexpr double kCaution = 0.15;
// Once the sample is full, one query of so many takes the place of another.
constexpr std::uint64_t kKeptOneIn = 8;

// Which of the queries of a run of kKeptOneIn that is. Always the same one would be the same few
// queries over and over where somebody asks a list of them in turn.
std::uint64_t kept_of(std::uint64_t run) {
  return run * 0x9e3779b97f4a7c15U >> 61;
}
static_assert(kKeptOneIn == std::uint64_t{1} << (64 - 61));

double scale_for(std::uint32_t k) {
  return k <= kMeasuredK ? 1.0 : std::pow(static_cast<double>(k) / kMeasuredK, kGrowth);
}

// How far `value` is from a to b, between 0 and 1.
double part(double value, double a, double b) {
  return b > a ? std::clamp((value - a) / (b - a), 0.0, 1.0) : 1.0;
}

}  // namespace

std::uint32_t EffortCurve::ef_for(double recall, std::uint32_t k) const {
  double ef = static_cast<double>(points_.empty() ? kMeasuredK : points_.back().ef);
  recall += kCaution * (1.0 - recall);
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (points_[i].recall < recall) continue;
    ef = points_[i].ef;
    if (i > 0) {
      const EffortPoint& before = points_[i - 1];
      ef = before.ef + part(recall, before.recall, points_[i].recall) *
                           static_cast<double>(points_[i].ef - before.ef);
    }
    break;
  }
  return std::max(k, static_cast<std::uint32_t>(std::ceil(ef * scale_for(k))));
}

double EffortCurve::recall_of(std::uint32_t ef, std::uint32_t k) const {
  const double measured = static_cast<double>(ef) / scale_for(k);
  double recall = 0.0;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    recall = points_[i].recall;
    if (points_[i].ef < measured) continue;
    if (i > 0) {
      const EffortPoint& before = points_[i - 1];
      recall = before.recall + part(measured, before.ef, points_[i].ef) * (recall - before.recall);
    }
    break;
  }
  return recall;
}

void RecentQueries::keep(std::span<const float> query) {
  const std::uint64_t number = seen_.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t run = number / kKeptOneIn;
  if (number >= kKept && number % kKeptOneIn != kept_of(run)) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  if (queries_.size() < kKept) {
    queries_.emplace_back(query.begin(), query.end());
  } else {
    queries_[run % kKept].assign(query.begin(), query.end());
  }
}

std::vector<std::vector<float>> RecentQueries::all() const {
  const std::lock_guard lock(mutex_);
  return queries_;
}

std::shared_ptr<Graph> GraphState::graph() const {
  const std::lock_guard lock(mutex_);
  return graph_;
}

std::shared_ptr<const EffortCurve> GraphState::effort() const {
  const std::lock_guard lock(mutex_);
  return effort_;
}

void GraphState::set_graph(std::shared_ptr<Graph> graph, std::uint64_t tail) {
  const std::lock_guard lock(mutex_);
  graph_.swap(graph);
  kept_.store(graph_ != nullptr, std::memory_order_relaxed);
  tail_.store(tail, std::memory_order_relaxed);
  caught_up_.store(graph_ != nullptr && tail < kTailMax, std::memory_order_relaxed);
}

void GraphState::set_tail(std::uint64_t rows) {
  {
    const std::lock_guard lock(mutex_);
    tail_.store(rows, std::memory_order_relaxed);
    if (rows < kTailMax) caught_up_.store(true, std::memory_order_relaxed);
  }
  room_.notify_all();
}

bool GraphState::slow_writer() {
  if (tail() < kTailMax || !caught_up_.load(std::memory_order_relaxed)) return false;
  std::unique_lock lock(mutex_);
  room_.wait_for(lock, kSlowedFor, [this] { return tail() < kTailMax; });
  return true;
}

void GraphState::set_effort(std::shared_ptr<const EffortCurve> effort) {
  const std::lock_guard lock(mutex_);
  effort_.swap(effort);
}

}  // namespace vecserve::engine
