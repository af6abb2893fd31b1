// Targets in this process, for self-tests and for trying out flags: one that answers at once, and a
// server with one worker, a bounded queue and a service time. Comes beside the target over the
// wire; send() runs on the sender's thread, the worker has its own. Always holds: every request is
// completed exactly once, at the latest when the target is destroyed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

#include "tools/loadgen/sender.h"
#include "vecserve/status.h"

namespace vecserve::loadgen {

// A stretch of the run in which nothing moves, from the start of the run.
struct Stall {
  std::uint64_t at_ns = 0;
  std::uint64_t length_ns = 0;

  [[nodiscard]] std::uint64_t end_ns() const { return at_ns + length_ns; }
  [[nodiscard]] bool holds(std::uint64_t now_ns) const {
    return now_ns >= at_ns && now_ns < end_ns();
  }
};

// Answers inside send(), which a stall therefore blocks, as a full socket would.
class InlineTarget final : public Target {
 public:
  explicit InlineTarget(Stall stall = {}) : stall_(stall) {}
  void send(std::size_t index, std::uint8_t kind, Records& records) override;

 private:
  Stall stall_;
};

inline constexpr std::uint32_t kLocalQueueMax = 1u << 24;

// First come, first served, by one worker that is busy for service_ns with each.
class ServerTarget final : public Target {
 public:
  struct Options {
    std::uint64_t service_ns = 10'000;
    std::uint32_t queue = kLocalQueueMax;  // requests that may wait; more are refused
    Stall stall{};
  };
  explicit ServerTarget(const Options& options);
  ~ServerTarget() override;
  ServerTarget(const ServerTarget&) = delete;
  ServerTarget& operator=(const ServerTarget&) = delete;

  // One sending thread and one Records at a time.
  void send(std::size_t index, std::uint8_t kind, Records& records) override;
  // Answers what waits at once.
  void give_up() override;

 private:
  void run();

  const Options options_;
  std::vector<std::uint32_t> ring_;  // indices of waiting requests
  Records* records_ = nullptr;       // set before the first index is published
  std::atomic<std::uint64_t> pushed_{0};
  std::atomic<std::uint64_t> popped_{0};
  std::atomic<bool> hurry_{false};  // answer what waits at once
  std::atomic<bool> stop_{false};
  std::thread worker_;
};

// "inline", or "server:MICROSECONDS" of service time, optionally ",QUEUE".
[[nodiscard]] Result<std::unique_ptr<Target>> make_local_target(std::string_view spec);

}  // namespace vecserve::loadgen
