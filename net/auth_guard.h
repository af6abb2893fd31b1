// Slows down whoever guesses tokens: after some failures an address has to wait before its next
// hello is looked at, twice as long after each further failure. Asked by the conversation before a
// token is compared. Any thread; one short lock. Always holds: at most limits::auth_addresses_max
// addresses are remembered, the one that failed longest ago makes room.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace vecserve::net {

class AuthGuard {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;

  // How long this address still has to wait; 0: go on.
  [[nodiscard]] Duration wait_of(const std::string& address, TimePoint now) const;
  void failed(const std::string& address, TimePoint now);
  void succeeded(const std::string& address);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Record {
    std::uint32_t failures = 0;
    TimePoint last{};
    TimePoint open{};  // when the next hello is looked at
  };
  void make_room();

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Record> records_;  // guarded by mutex_
};

}  // namespace vecserve::net
