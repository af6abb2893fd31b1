// See write_order.h. One connection's; guarded by its conversation's mutex. Always holds: a write
// is among the followers of exactly those that it waits for, and latest_ names only writes that are
// here.
#include "net/write_order.h"

#include <functional>
#include <utility>

#include "engine/base/check.h"

namespace vecserve::net {

WriteOrder::Key WriteOrder::key_of(std::string_view collection, const RowId& id) {
  constexpr Key kOdd = 0x9e3779b97f4a7c15u;
  Key key = std::hash<std::string_view>()(collection) * kOdd;
  key ^= id.is_number() ? id.number() : std::hash<std::string_view>()(id.bytes());
  key *= kOdd;
  return key ^ (key >> 32);
}

void WriteOrder::follow(std::uint64_t number, Write& write, std::uint64_t earlier) {
  std::vector<std::uint64_t>& followers = writes_.at(earlier).followers;
  // Rows of one write that share an earlier one come here one after the other.
  if (!followers.empty() && followers.back() == number) return;
  followers.push_back(number);
  ++write.waits_for;
}

bool WriteOrder::enter(std::uint64_t number, std::vector<Key> keys) {
  Write write;
  if (keys.empty()) {
    for (const auto& [earlier, unused] : writes_) follow(number, write, earlier);
    latest_of_all_ = number;
  } else {
    if (latest_of_all_) follow(number, write, *latest_of_all_);
    for (const Key key : keys) {
      const auto [at, first] = latest_.try_emplace(key, number);
      if (first || at->second == number) continue;
      follow(number, write, at->second);
      at->second = number;
    }
  }
  write.keys = std::move(keys);
  const bool free = write.waits_for == 0;
  writes_.emplace(number, std::move(write));
  return free;
}

void WriteOrder::leave(std::uint64_t number, std::vector<std::uint64_t>& ready) {
  const auto found = writes_.find(number);
  VECSERVE_CHECK(found != writes_.end() && found->second.waits_for == 0);
  for (const Key key : found->second.keys) {
    const auto at = latest_.find(key);
    if (at != latest_.end() && at->second == number) latest_.erase(at);
  }
  if (latest_of_all_ == number) latest_of_all_.reset();
  for (const std::uint64_t follower : found->second.followers) {
    if (--writes_.at(follower).waits_for == 0) ready.push_back(follower);
  }
  writes_.erase(found);
}

}  // namespace vecserve::net
