// Times drawn, waited for, and answered by nothing. Lanes only. Always holds: a batch's end is
// reckoned from when it was to begin, not from when a late wake-up let it go on, so that the host's
// lateness adds once and not per part.
#include "tools/batchd/timed_device.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tools/loadgen/random.h"
#include "tools/loadgen/sender.h"

namespace vecserve::batchd {
namespace {

constexpr std::uint64_t kForever = 1'000'000'000'000;  // a spin, ahead of any moment

double normal(loadgen::Random& random) {
  const double radius = std::sqrt(-2.0 * std::log(std::max(1e-300, 1.0 - random.uniform())));
  return radius * std::cos(2.0 * std::numbers::pi * random.uniform());
}

}  // namespace

double TimedDeviceOptions::mean_us(double requests) const {
  const double cost_us = static_cast<double>(batch_cost.count()) +
                         static_cast<double>(request_cost.count()) * requests;
  return cost_us * std::exp(sigma * sigma / 2.0) * (1.0 + slow_share * (slow_factor - 1.0));
}

std::vector<loadgen::Stall> plan_stalls(double every_s, double length_ms, double duration_s,
                                        std::uint64_t seed) {
  constexpr std::uint64_t kStreamStalls = 7;
  std::vector<loadgen::Stall> stalls;
  if (every_s <= 0.0) return stalls;
  loadgen::Random random(seed, kStreamStalls);
  const double length_ns = length_ms * 1e6;
  double at_ns = random.exponential() * every_s * 1e9;
  while (at_ns < duration_s * 1e9) {
    stalls.push_back({static_cast<std::uint64_t>(at_ns), static_cast<std::uint64_t>(length_ns)});
    at_ns += length_ns + random.exponential() * every_s * 1e9;
  }
  return stalls;
}

TimedDevice::TimedDevice(TimedDeviceOptions options) : options_(std::move(options)) {
  for (std::uint32_t lane = 0; lane < options_.lanes; ++lane) {
    results_.push_back(std::make_unique<SearchResult>());
    results_.back()->backend = options_.on_processor ? "timed/processor" : "timed/elsewhere";
  }
}

std::uint64_t TimedDevice::draw_ns(std::size_t requests, std::uint64_t now_ns) {
  loadgen::Random random(options_.seed, drawn_.fetch_add(1, std::memory_order_relaxed));
  double us = static_cast<double>(options_.batch_cost.count()) +
              static_cast<double>(options_.request_cost.count()) * static_cast<double>(requests);
  us *= std::exp(options_.sigma * normal(random));
  if (random.uniform() < options_.slow_share) us *= options_.slow_factor;
  const std::uint64_t begin_ns = begin_ns_.load(std::memory_order_relaxed);
  if (begin_ns > 0 && now_ns >= begin_ns && options_.all_slow.holds(now_ns - begin_ns)) {
    us *= options_.all_slow_factor;
  }
  return static_cast<std::uint64_t>(us * 1e3);
}

std::uint64_t TimedDevice::end_of(std::uint64_t at_ns, std::uint64_t length_ns) const {
  const std::uint64_t begin_ns = begin_ns_.load(std::memory_order_relaxed);
  std::uint64_t end_ns = at_ns + length_ns;
  if (begin_ns == 0) return end_ns;
  for (const loadgen::Stall& stall : options_.stalls) {
    const std::uint64_t from = begin_ns + stall.at_ns, to = begin_ns + stall.end_ns();
    if (from >= end_ns) break;
    if (to > at_ns) end_ns += to - std::max(from, at_ns);
  }
  return end_ns;
}

void TimedDevice::run(net::Batch& batch) noexcept {
  static thread_local bool prepared = false;
  if (!prepared) loadgen::prepare_thread(-1);
  prepared = true;
  batch.started = std::chrono::steady_clock::now();
  std::uint64_t at_ns = loadgen::steady_ns();
  const std::uint64_t whole_ns = draw_ns(batch.works.size(), at_ns);
  const std::uint64_t part_ns = std::max<std::uint64_t>(1, whole_ns / options_.parts);
  std::uint64_t done_ns = 0;
  while (done_ns < whole_ns && !batch.stop->cancelled()) {
    const std::uint64_t next_ns = std::min(part_ns, whole_ns - done_ns);
    at_ns = end_of(at_ns, next_ns);
    loadgen::wait_until(at_ns, options_.on_processor ? kForever : 0);
    done_ns += next_ns;
  }
  if (done_ns < whole_ns) {
    stopped_ns_.fetch_add(done_ns, std::memory_order_relaxed);
    for (Status& status : batch.statuses) status = Status(StatusCode::cancelled, "stopped");
    return;
  }
  finished_ns_.fetch_add(whole_ns, std::memory_order_relaxed);
  finished_.fetch_add(1, std::memory_order_relaxed);
  batch.stages.scan_ns = whole_ns;
  answer(batch);
}

void TimedDevice::answer(net::Batch& batch) {
  SearchResult& result = *results_[batch.lane];
  std::size_t queries = 0;
  for (const std::shared_ptr<net::Work>& work : batch.works) {
    auto& search = static_cast<net::SearchWork&>(*work);
    search.answer_from(result, queries);
    queries += search.queries.size();
  }
  result.offsets.assign(queries + 1, 0);
  result.certified.assign(queries, 1);
  result.truncated.assign(queries, 0);
}

}  // namespace vecserve::batchd
