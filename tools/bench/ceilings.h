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
#include <string_view>
#include <vector>

namespace vecserve::bench {

struct Ceilings {
  double read_bytes = 0.0;  // per second
  double f32_terms = 0.0;   // multiplications with addition per second
  double i8_terms = 0.0;    // the same of bytes, added up in 32 bits
};

// The units that loops are there for and that this machine has. Floats: "avx512", "avx2", "plain".
// Bytes: "amx", "vnni", "avx2", "plain". The best comes first.
[[nodiscard]] std::vector<std::string> f32_units();
[[nodiscard]] std::vector<std::string> i8_units();
// The unit that a table of kernels multiplies with, by its name ("avx512_vnni", "cpu/avx2", ...).
// Tables wider than the machine's best unit do not run, so the answer is always one of the above.
[[nodiscard]] std::string f32_unit_of(std::string_view kernels);
[[nodiscard]] std::string i8_unit_of(std::string_view kernels);

class CeilingProbe {
 public:
  // `bytes` should be far above the last cache. Seconds: for each of the three, per measure().
  CeilingProbe(std::uint32_t threads, std::size_t bytes, double seconds);

  // Which units to measure from now on: the best at first.
  void use_units(const std::string& f32_unit, const std::string& i8_unit);
  void measure();
  void forget() { best_ = {}; }
  [[nodiscard]] const Ceilings& best() const { return best_; }
  [[nodiscard]] const std::string& f32_unit() const { return f32_unit_; }
  [[nodiscard]] const std::string& i8_unit() const { return i8_unit_; }

 private:
  std::uint32_t threads_;
  double seconds_;
  std::size_t bytes_;
  std::string f32_unit_;
  std::string i8_unit_;
  std::unique_ptr<std::byte, void (*)(void*)> buffer_;
  Ceilings best_;
};

}  // namespace vecserve::bench
