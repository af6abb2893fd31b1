// tailprobe: runs one small operation many times and explains its tail. Flags, operator new (which
// counts, so that allocations can be named as causes) and the order of things; the rest is in the
// library beside it. Main thread.
// Exit codes: 0 done, 1 failed or a self-test finding does not hold, 2 wrong flags, 77 this machine
// or build has no such device.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>

#include "tools/plot/report.h"
#include "tools/plot/terminal.h"
#include "tools/tailprobe/output.h"
#include "tools/tailprobe/self_test.h"

// The replaced global allocation functions of this program. Not inlined, or the compiler sees
// malloc's memory given to operator delete and takes it for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++vecserve::tailprobe::allocation_count;
  vecserve::tailprobe::allocation_bytes += bytes;
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using namespace vecserve;
using namespace vecserve::tailprobe;

constexpr int kExitNoDevice = 77;

struct Flags {
  std::string operation = "cpu_scan";
  ProbeOptions probing;
  OperationSettings settings;
  std::size_t slowest = 10;
  std::string json, html;
  bool list = false, self_test = false, plots = false, color = false;
  std::uint64_t seed = 1;
  std::size_t injections = 100;
};

int run_self_test(const Flags& flags) {
  bool all = true;
  self_test({flags.seed, flags.injections, flags.settings.folder}, [&](const Finding& finding) {
    all = all && finding.holds();
    if (flags.json.empty()) {
      std::printf("%-20s %10.3f  %s %.3f  %s  (%s)\n", finding.name.c_str(), finding.figure,
                  finding.at_least ? "at least" : "at most ", finding.limit,
                  finding.holds() ? "holds" : "FAILS", finding.detail.c_str());
      std::fflush(stdout);
      return;
    }
    const nlohmann::ordered_json line = {{"name", finding.name},     {"figure", finding.figure},
                                         {"limit", finding.limit},   {"holds", finding.holds()},
                                         {"detail", finding.detail}, {"seed", flags.seed}};
    if (flags.json == "-") {
      std::cout << line.dump() << std::endl;
    } else {
      std::ofstream(flags.json, std::ios::app) << line.dump() << '\n';
    }
  });
  return all ? 0 : 1;
}

int refuse(const Flags& flags, const Status& status) {
  const bool no_device = status.code() == StatusCode::unimplemented;
  if (!flags.json.empty()) {
    std::cout << nlohmann::ordered_json{{"op", flags.operation},
                                        {"device", no_device ? "none" : "cpu"},
                                        {"reason", status.message()}}
                     .dump()
              << std::endl;
  }
  std::fprintf(stderr, "tailprobe: %s\n", status.message().c_str());
  if (no_device) return kExitNoDevice;
  return status.code() == StatusCode::invalid_argument ? 2 : 1;
}

int run_probe(const Flags& flags) {
  const Result<Operation> operation = make_operation(flags.operation, flags.settings);
  if (!operation.ok()) return refuse(flags, operation.status());
  const double fast_path_ns = measure_fast_path_ns();
  const ProbeResult result = probe(*operation, flags.probing);
  const std::vector<plot::Figure> figures = figures_of(*operation, result);
  if (!flags.html.empty()) {
    std::ofstream(flags.html) << plot::to_html(
        {"tailprobe: " + operation->name, operation->what, {}, {{"Plots", {}, {}, figures}}});
  }
  if (flags.json == "-") {
    std::cout << to_json(*operation, result, fast_path_ns).dump() << std::endl;
    return 0;
  }
  if (!flags.json.empty()) {
    std::ofstream(flags.json, std::ios::app)
        << to_json(*operation, result, fast_path_ns).dump() << '\n';
  }
  print_table(*operation, result, fast_path_ns, flags.slowest);
  for (const plot::Figure& figure : figures) {
    if (flags.plots) std::printf("\n%s", to_terminal(figure, {100, 16, flags.color}).c_str());
  }
  return 0;
}

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("op", flags.operation, "operation to probe")->capture_default_str();
  app.add_flag("--list", flags.list, "name the operations and leave");
  app.add_option("-n,--count", flags.probing.count, "measured runs")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--warm-up", flags.probing.warm_up, "runs before, which set the threshold")
      ->check(CLI::Range(3, 1'000'000))
      ->capture_default_str();
  app.add_option("--slow", flags.probing.slow_factor, "slow is so many times the median")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  app.add_option("--seconds", flags.probing.seconds_max, "stop after so many seconds")
      ->capture_default_str();
  app.add_option("--bytes", flags.settings.bytes, "size of one run; 0: its own default");
  app.add_option("--dir", flags.settings.folder, "where files are made; a temporary folder");
  app.add_option("--slowest", flags.slowest, "slow runs to show")->capture_default_str();
  app.add_flag("--plots", flags.plots, "draw spectrum and heat map");
  app.add_flag("--color", flags.color, "in colours");
  app.add_option("--html", flags.html, "write a page with the plots");
  app.add_option("--json", flags.json, "one JSON line to this file, - for standard output");
  app.add_flag("--self-test", flags.self_test, "inject known causes; are they named?");
  app.add_option("--injections", flags.injections, "of each cause, in the self-test")
      ->check(CLI::Range(5, 100'000))
      ->capture_default_str();
  app.add_option("--seed", flags.seed, "of the self-test")->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app(
      "Runs one small operation many times and explains its tail. Times are in the units "
      "shown; quantities without a unit are counts.");
  add_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  if (flags.list) {
    for (const OperationInfo& info : list_operations()) {
      std::printf("%-16s %s%s\n", info.name.c_str(), info.what.c_str(),
                  info.on_device ? " (no device in this build)" : "");
    }
    return 0;
  }
  std::string made;
  if (flags.settings.folder.empty()) {
    made = (std::filesystem::temp_directory_path() / "tailprobe-XXXXXX").string();
    if (mkdtemp(made.data()) == nullptr) {
      std::fprintf(stderr, "tailprobe: cannot make %s; give --dir\n", made.c_str());
      return 1;
    }
    flags.settings.folder = made;
  }
  const int code = flags.self_test ? run_self_test(flags) : run_probe(flags);
  std::error_code ignored;
  if (!made.empty()) std::filesystem::remove_all(made, ignored);
  return code;
}
