// See slow_log.h.
// Any thread. Always holds: an entry is replaced only by a slower one of the same minute, a minute
// only by a later one.
#include "net/slow_log.h"

#include <algorithm>

namespace vecserve::net {

namespace {

constexpr std::uint64_t kMinuteMs = 60'000;

bool slower(const SlowRequest& a, const SlowRequest& b) {
  return a.served.total_ns > b.served.total_ns;
}

}  // namespace

void SlowLog::add(const ReplyRecord& record, std::uint64_t unix_ms) {
  if (record.served == nullptr) return;
  const std::uint64_t minute = unix_ms / kMinuteMs;
  const std::uint64_t took = record.served->total_ns;
  if (minute_.load(std::memory_order_relaxed) == minute &&
      took <= least_ns_.load(std::memory_order_relaxed)) {
    return;
  }
  const std::lock_guard lock(mutex_);
  Minute& kept_in = minutes_[minute % minutes_.size()];
  if (kept_in.number > minute) return;  // the clock was set back
  if (kept_in.number != minute) {
    kept_in.number = minute;
    kept_in.kept.clear();
    minute_.store(minute, std::memory_order_relaxed);
    least_ns_.store(0, std::memory_order_relaxed);
  }
  std::vector<SlowRequest>& kept = kept_in.kept;
  SlowRequest request{unix_ms,
                      record.verb,
                      record.priority,
                      record.code,
                      std::string(record.collection),
                      std::string(record.identity),
                      *record.served};
  if (kept.size() < limits::slow_kept) {
    kept.push_back(std::move(request));
    std::push_heap(kept.begin(), kept.end(), slower);
  } else if (slower(request, kept.front())) {
    std::pop_heap(kept.begin(), kept.end(), slower);
    kept.back() = std::move(request);
    std::push_heap(kept.begin(), kept.end(), slower);
  }
  if (kept.size() == limits::slow_kept && minute_.load(std::memory_order_relaxed) == minute) {
    least_ns_.store(kept.front().served.total_ns, std::memory_order_relaxed);
  }
}

std::vector<SlowRequest> SlowLog::slowest(std::uint64_t unix_ms) const {
  const std::uint64_t minute = unix_ms / kMinuteMs;
  std::vector<SlowRequest> all;
  {
    const std::lock_guard lock(mutex_);
    for (const Minute& one : minutes_) {
      if (one.number + limits::slow_minutes <= minute || one.number > minute) continue;
      all.insert(all.end(), one.kept.begin(), one.kept.end());
    }
  }
  std::sort(all.begin(), all.end(), slower);
  return all;
}

}  // namespace vecserve::net
