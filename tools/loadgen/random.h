// Random numbers for plans: the same on every machine, compiler and library. Comes below schedule;
// any thread, each its own. Always holds: only integers are drawn and compared, so no difference in
// a mathematical library, in rounding modes or in std::distributions can change a plan.
#pragma once

#include <cstdint>

namespace vecserve::loadgen {

// SplitMix64: a counter through a mixing function. Streams of different numbers are independent.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0)
      : state_(mix(seed) ^ mix(stream + 0x9E3779B97F4A7C15u)) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15u;
    return mix(state_);
  }
  // Uniform in [0, 1), a multiple of 2^-53, so exact as a double.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Uniform in [0, bound), bound > 0.
  std::uint64_t below(std::uint64_t bound);

  // Exponential with mean 1, by von Neumann's method: draw u1 > u2 > ... while they fall; when the
  // run has an odd length, u1 plus the number of runs before is exponential. Whole part and
  // fraction are apart, so nothing is rounded but the last bit of the fraction.
  double exponential();

 private:
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }
  std::uint64_t state_;
};

}  // namespace vecserve::loadgen
