// What loadgen can be asked to do, and how. Comes between main() and the parts; main thread.
// Always holds: a wrong flag is refused before anything is sent, with the flag's name and what it
// takes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/loadgen/run_files.h"

namespace vecserve::loadgen {

struct Settings {
  // What to do; a plain run when none is set.
  bool self_test = false;
  bool sweep = false;
  bool find_knee = false;
  std::vector<std::string> compare{};  // two files

  // Against what.
  std::string target = "127.0.0.1:7411";
  std::string collection = "loadgen";
  std::string token{};
  std::uint32_t connections = 4;
  std::uint32_t dim = 128;
  std::uint64_t rows = 100'000;
  std::uint32_t k = 10;
  bool prepare = false;

  // What load.
  double rate = 1'000.0;
  double duration_s = 10.0;
  double warm_up_s = 1.0;
  double cool_down_s = 0.5;
  std::string arrivals = "poisson";
  std::string mix = "search=100";
  double timeout_ms = 1'000.0;
  std::string priority = "interactive";
  std::uint32_t closed_users = 0;
  std::uint64_t seed = 1;
  int cpu = -1;
  double noise_rate = 1'000.0;

  // Knee and sweep.
  std::string slo = "p99=5ms";
  std::vector<double> rates{};
  std::uint32_t steps_max = 12;

  // Where to.
  RunFiles files{};
  bool quiet = false;
  bool smoke = false;

  std::function<std::uint64_t()> allocations{};
};

void add_flags(CLI::App& app, Settings& settings);

// The exit status: 0; 1 when something failed or a check does not hold; 3 for an INVALID run or
// knee; 4 when a comparison found B worse than A.
int run_command(const Settings& settings);

}  // namespace vecserve::loadgen
