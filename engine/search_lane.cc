// See search_lane.h. Lanes are made when they are first needed and never given back to the system.
// Any thread. Always holds: idle_ has room for every lane ever made, so giving back cannot fail.
// Comes before each search; the public call waits here when all lanes are out.
#include "engine/search_lane.h"

#include <utility>

#include "engine/base/limits.h"

namespace vecserve::engine {

LanePool::LanePool(std::function<std::unique_ptr<Scanner>()> make_scanner)
    : make_scanner_(std::move(make_scanner)) {
  idle_.reserve(limits::lanes_max);
  auto lane = std::make_unique<SearchLane>();
  lane->scanner = make_scanner_();
  backend_ = lane->scanner->name();
  idle_.push_back(std::move(lane));
  made_ = 1;
}

LanePool::Lease LanePool::take(const StopCheck& stop) {
  {
    std::unique_lock lock(mutex_);
    const auto there_is_one = [&] { return !idle_.empty() || made_ < limits::lanes_max; };
    // Whoever cancels wakes nobody here, so that those who wait look for themselves.
    while (!returned_.wait_for(lock, kLookEvery, there_is_one)) {
      if (stop.stop()) return {*this, nullptr};
    }
    if (!idle_.empty()) {
      auto lane = std::move(idle_.back());
      idle_.pop_back();
      return {*this, std::move(lane)};
    }
    ++made_;
  }
  try {
    auto lane = std::make_unique<SearchLane>();
    lane->scanner = make_scanner_();
    return {*this, std::move(lane)};
  } catch (...) {
    const std::lock_guard lock(mutex_);
    --made_;
    returned_.notify_one();
    throw;
  }
}

void LanePool::give_back(std::unique_ptr<SearchLane> lane) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(lane));
  returned_.notify_one();
}

}  // namespace vecserve::engine
