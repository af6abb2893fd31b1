// Seeded randomness for tests and harness programs: the same seed gives the same run on every
// machine, which std:: distributions do not promise. Header only; one object per thread. Always
// holds: a run prints its seed, so any failure can be played again.
#pragma once

#include <cstdint>

namespace vecserve::test {

// One step of the splitmix64 generator, also used as a hash of small keys.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(mix64(seed)) {}
  // Independent dice from the same seed, one per thread or cycle.
  Dice(std::uint64_t seed, std::uint64_t stream) : state_(mix64(seed ^ mix64(stream + 1))) {}

  [[nodiscard]] std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ull;
    return mix64(state_);
  }
  // Uniform in [0, count); the bias of the remainder is far below what a test can notice.
  [[nodiscard]] std::uint64_t below(std::uint64_t count) { return next() % count; }
  // Uniform in [low, high], both included.
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  [[nodiscard]] bool percent(std::uint64_t chance) { return below(100) < chance; }

 private:
  std::uint64_t state_;
};

}  // namespace vecserve::test
