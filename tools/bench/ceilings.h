// What this machine can do at most, measured by the plainest loops that reach it: reading memory,
// multiplying and adding floats, multiplying and adding bytes. A bench measures them in turn with
// what it is about and reports shares, so that a figure means something on a noisy machine. Main
// thread, which starts as many threads as asked. Always holds: a ceiling is the best of all
// measurements so far, never an average.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace vecserve::bench {

struct Ceilings {
  double read_bytes = 0.0;  // per second
  double f32_terms = 0.0;   // multiplications with addition per second
  double i8_terms = 0.0;    // the same of bytes, added up in 32 bits
};

class CeilingProbe {
 public:
  // `bytes` should be far above the last cache. Seconds: for each of the three, per measure().
  CeilingProbe(std::uint32_t threads, std::size_t bytes, double seconds);

  void measure();
  void forget() { best_ = {}; }
  [[nodiscard]] const Ceilings& best() const { return best_; }
  // The unit that multiplied bytes: "amx", "vnni", "avx2" or "plain".
  [[nodiscard]] static std::string i8_unit();

 private:
  std::uint32_t threads_;
  double seconds_;
  std::size_t bytes_;
  std::unique_ptr<std::byte, void (*)(void*)> buffer_;
  Ceilings best_;
};

}  // namespace vecserve::bench
