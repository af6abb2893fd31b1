// Flags, machine facts and output of the benches. Comes below every bench_*.cc; main thread. Always
// holds: a table's columns are the fields of the first line, in their order. Figures keep the order
// in which a bench gives them.
#include "tools/bench/bench_report.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>

namespace vecserve::bench {
namespace {

constexpr int kColumnWidth = 14;

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string commit() {
  const std::unique_ptr<FILE, int (*)(FILE*)> git(
      popen("git rev-parse --short=12 HEAD 2>/dev/null", "r"), pclose);
  char line[64] = {};
  if (git == nullptr || std::fgets(line, sizeof(line), git.get()) == nullptr) return "unknown";
  std::string text(line);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Numbers with four digits that matter, everything else as it is.
std::string cell(const nlohmann::ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_float()) return value.dump();
  char text[32];
  const double number = value.get<double>();
  std::snprintf(text, sizeof(text), std::abs(number) >= 1000 ? "%.0f" : "%.4g", number);
  return text;
}

}  // namespace

void add_common_flags(CLI::App& app, CommonFlags& flags) {
  app.add_option("--json", flags.json, "one JSON line per case to this file, - for stdout");
  app.add_option("--dir", flags.folder, "make databases below this folder");
  app.add_flag("--smoke", flags.smoke, "tiny run that checks answers, not times");
  app.add_option("--seed", flags.seed, "of the data");
}

void parse_flags(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
}

Report::Report(std::string bench, const CommonFlags& flags)
    : bench_(std::move(bench)), flags_(flags) {}

void Report::add(const nlohmann::ordered_json& figures) {
  if (flags_.json.empty()) {
    if (!header_printed_) {
      std::cout << bench_ << " on " << cpu_model() << ", commit " << commit() << '\n';
      for (const auto& [name, value] : figures.items()) {
        std::printf("%*s ", std::max(kColumnWidth, static_cast<int>(name.size())), name.c_str());
      }
      std::printf("\n");
      header_printed_ = true;
    }
    for (const auto& [name, value] : figures.items()) {
      std::printf("%*s ", std::max(kColumnWidth, static_cast<int>(name.size())),
                  cell(value).c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
    return;
  }
  nlohmann::ordered_json line = {{"bench", bench_}};
  line.update(figures);
  line["cpu"] = cpu_model();
  line["cores"] = std::thread::hardware_concurrency();
  line["commit"] = commit();
  line["seed"] = flags_.seed;
  line["smoke"] = flags_.smoke;
  if (flags_.json == "-") {
    std::cout << line.dump() << std::endl;
  } else {
    std::ofstream(flags_.json, std::ios::app) << line.dump() << '\n';
  }
}

void progress(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
}

BenchFolder::BenchFolder(const CommonFlags& flags) {
  std::string pattern =
      (flags.folder.empty() ? std::filesystem::temp_directory_path().string() : flags.folder) +
      "/vecserve-bench-XXXXXX";
  require(mkdtemp(pattern.data()) != nullptr, "cannot make the folder " + pattern);
  path_ = pattern;
}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

double median(std::vector<double> values) {
  return percentile(values, 0.5);
}

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0.0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const std::size_t at = std::min(values.size() - 1, rank == 0 ? 0 : rank - 1);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

std::vector<float> random_floats(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> floats(count);
  for (float& x : floats) {
    x = static_cast<float>(static_cast<double>(random() >> 40) * 0x1p-23 - 1.0);
  }
  return floats;
}

void require(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error(what);
}

int run_bench(const char* name, void (*body)(int argc, char** argv), int argc, char** argv) {
  try {
    body(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace vecserve::bench
