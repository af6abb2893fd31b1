// How a client holds back by itself: which calls it refuses when the server refuses many, how many
// it may send again, and how long it waits between attempts to connect. Before anything is sent.
// Not thread-safe: the client guards it. Time is passed in.
// Always holds: never more than kThrottleShareMax of the calls are refused here, so that a server
// that recovered is noticed; retries are at most one call in ten over time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <random>

namespace vecserve::net {

inline constexpr double kThrottleShareMax = 0.95;
inline constexpr double kThrottleCallsMin = 20.0;  // fewer say nothing about a server

// Client-side throttling as Google's SRE book has it: of `requests` that ended in the last two
// minutes, here or there, with `accepts` not refused, refuse with the probability
// max(0, (requests - 2 accepts) / (requests + 1)). What is on its way counts only when it ended:
// a client that just began has many requests and no reply.
class Throttle {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // The probability now.
  [[nodiscard]] double share(TimePoint now);
  // A call ended: refused here, refused there, or accepted, which is any other reply.
  void on_end(TimePoint now, bool accepted);

 private:
  static constexpr std::size_t kSlices = 24;  // of two minutes
  static constexpr std::chrono::seconds kSlice{5};

  struct Slice {
    std::int64_t number = -1;
    std::uint64_t requests = 0;
    std::uint64_t accepts = 0;
  };
  Slice& slice_at(TimePoint now);
  [[nodiscard]] static std::int64_t number_of(TimePoint now);

  std::array<Slice, kSlices> slices_{};
};

// A tenth of a token for every call, a token for every retry.
class RetryBudget {
 public:
  void on_call();
  [[nodiscard]] bool take();

 private:
  static constexpr std::uint32_t kTenthsMax = 100;  // ten retries at once after a quiet time
  std::uint32_t tenths_ = kTenthsMax;
};

// Spans that double from min to max; each wait is a random time between half of its span and all of
// it, so that the clients of a server that comes back do not all come at once.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds min, std::chrono::milliseconds max, std::uint64_t seed);
  [[nodiscard]] std::chrono::microseconds next();
  void reset();

 private:
  std::chrono::milliseconds min_;
  std::chrono::milliseconds max_;
  std::chrono::milliseconds span_;
  std::mt19937_64 random_;
};

}  // namespace vecserve::net
