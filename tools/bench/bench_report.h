// What every bench shares: its flags, its report and small statistics. A bench prints a readable
// table, or with --json one line per case that names machine, kernels, commit and seed, so that a
// figure can be traced to what made it. Main thread. Always holds: standard output carries nothing
// but the report.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vecserve::bench {

struct CommonFlags {
  std::string json;    // "": a table; "-": lines on standard output; else a file to append to
  std::string folder;  // where databases are made; "": a temporary folder
  bool smoke = false;  // tiny, checks answers and no times
  std::uint64_t seed = 1;
};

void add_common_flags(CLI::App& app, CommonFlags& flags);
// Reads the command line. --help and mistakes are printed and end the program.
void parse_flags(CLI::App& app, int argc, char** argv);

class Report {
 public:
  Report(std::string bench, const CommonFlags& flags);
  // One case; prints at once.
  void add(const nlohmann::ordered_json& figures);

 private:
  std::string bench_;
  CommonFlags flags_;
  bool header_printed_ = false;
};

// Prints to standard error, for people who wait.
void progress(const std::string& text);

// A fresh folder below CommonFlags::folder, gone at the end.
class BenchFolder {
 public:
  explicit BenchFolder(const CommonFlags& flags);
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

[[nodiscard]] double median(std::vector<double> values);
// The value that `share` of the values do not exceed; 0 of none.
[[nodiscard]] double percentile(std::vector<double>& values, double share);

// `count` coordinates between -1 and 1, the same for the same seed.
[[nodiscard]] std::vector<float> random_floats(std::size_t count, std::uint64_t seed);

// Throws std::runtime_error with this text when `ok` is false: an answer was wrong, or a call
// failed.
void require(bool ok, const std::string& what);

// Runs the body of a bench; a thrown error becomes a line on standard error and the exit code 1.
int run_bench(const char* name, void (*body)(int argc, char** argv), int argc, char** argv);

}  // namespace vecserve::bench
