// Time as an argument: logic that depends on time takes a Clock, so that no test ever sleeps.
// Stands below everything. Any thread may read any clock.
// Always holds: steady_now() never goes back; unix_ms() may (somebody sets the clock), which is why
// only the time to live of rows, which must survive a restart, is measured with it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace vecserve::engine {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point steady_now() const = 0;
  [[nodiscard]] virtual std::uint64_t unix_ms() const = 0;  // milliseconds since 1970
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::now();
  }
  [[nodiscard]] std::uint64_t unix_ms() const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }
};

// Moves only when told to.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::uint64_t unix_ms = 1'700'000'000'000) : unix_ms_(unix_ms) {}
  void advance(std::chrono::nanoseconds by) {
    passed_ns_.fetch_add(by.count(), std::memory_order_acq_rel);
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::milliseconds(unix_ms_)) + passed();
  }
  [[nodiscard]] std::uint64_t unix_ms() const override {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(passed());
    return unix_ms_ + static_cast<std::uint64_t>(ms.count());
  }

 private:
  [[nodiscard]] std::chrono::nanoseconds passed() const {
    return std::chrono::nanoseconds(passed_ns_.load(std::memory_order_acquire));
  }

  const std::uint64_t unix_ms_;
  std::atomic<std::chrono::nanoseconds::rep> passed_ns_{0};
};

}  // namespace vecserve::engine
