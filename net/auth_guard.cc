// The table of addresses that failed. Between the conversation and the tokens; any thread.
// Always holds: the wait doubles with each failure from auth_delay_min on and never exceeds
// auth_delay_max; success clears it.
#include "net/auth_guard.h"

#include <algorithm>

#include "net/limits.h"

namespace vecserve::net {

namespace {

constexpr std::chrono::milliseconds kDelayFirst{100};
constexpr std::uint32_t kDoublingsMax = 16;

std::chrono::milliseconds delay_after(std::uint32_t failures) {
  if (failures < limits::auth_failures_free) return std::chrono::milliseconds(0);
  const std::uint32_t doublings = std::min(failures - limits::auth_failures_free, kDoublingsMax);
  return std::min(kDelayFirst * (1 << doublings), limits::auth_delay_max);
}

}  // namespace

AuthGuard::Duration AuthGuard::wait_of(const std::string& address, TimePoint now) const {
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(address);
  if (found == records_.end() || found->second.open <= now) return Duration(0);
  return std::chrono::ceil<Duration>(found->second.open - now);
}

void AuthGuard::failed(const std::string& address, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (records_.size() >= limits::auth_addresses_max && !records_.contains(address)) make_room();
  Record& record = records_[address];
  record.failures = std::min(record.failures + 1, limits::auth_failures_free + kDoublingsMax);
  record.last = now;
  record.open = now + delay_after(record.failures);
}

void AuthGuard::succeeded(const std::string& address) {
  const std::lock_guard lock(mutex_);
  records_.erase(address);
}

std::size_t AuthGuard::size() const {
  const std::lock_guard lock(mutex_);
  return records_.size();
}

void AuthGuard::make_room() {
  const auto oldest =
      std::min_element(records_.begin(), records_.end(),
                       [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
  if (oldest != records_.end()) records_.erase(oldest);
}

}  // namespace vecserve::net
