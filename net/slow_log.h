// The slowest requests of the last minutes, each with where its time went. Filled by stats, read by
// the HTTP face. Any thread may add and read: one comparison without a lock for all but the slow.
// Always holds: at most slow_kept entries per minute for slow_minutes minutes, the slowest of each.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "net/limits.h"
#include "net/server_options.h"
#include "vecserve/serving.h"

namespace vecserve::net {

struct SlowRequest {
  std::uint64_t unix_ms = 0;  // when it was answered
  Verb verb = Verb::ping;
  Priority priority = Priority::interactive;
  StatusCode code = StatusCode::ok;
  std::string collection;
  std::string identity;  // whose token it was; "" without tokens
  ServedStages served;
};

class SlowLog {
 public:
  void add(const ReplyRecord& record, std::uint64_t unix_ms);
  // The slowest first, of all minutes that are not over for longer than slow_minutes.
  [[nodiscard]] std::vector<SlowRequest> slowest(std::uint64_t unix_ms) const;

 private:
  struct Minute {
    std::uint64_t number = 0;  // since 1970
    std::vector<SlowRequest> kept;
  };
  mutable std::mutex mutex_;
  std::array<Minute, limits::slow_minutes> minutes_;  // guarded by mutex_
  // What a request of that minute must take to be kept; 0 while there is room.
  std::atomic<std::uint64_t> minute_{0};
  std::atomic<std::uint64_t> least_ns_{0};
};

}  // namespace vecserve::net
