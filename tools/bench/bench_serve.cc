// What serving costs beyond the engine, over loopback. Canonical run: bench_serve --json -, about
// three minutes; --only picks cases. A line per case:
//   idle        one client, one query at a time, 10,000 x 128, each also asked directly in the same
//               run. beyond: the server's time (last byte read until the reply stands in the
//               outbox, thread wake-ups included) minus the direct call of the same query. around:
//               the same less the engine's time within the server. trip: seen by the client.
//   first       the first query of a fresh server, and one after a quiet second
//   reject      processor time of a refusal, from the decoded frame to the reply in the outbox
//   throughput  32 pipelining connections on a data set, against the engine called directly with
//               the same batch sizes by one and by two threads; client, server and engine share
//               the cores
//   memory      resident memory of the server, a process, while ten times too much is asked of it
// The goals: beyond at most 50 us (p50) and 150 us (p99), reject at most 2,000 ns, served_share at
// least 0.85, rss_growth_mib below 64.
#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tools/bench/serve_cases.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;

constexpr std::pair<const char*, void (*)(const ServeSettings&)> kCases[] = {
    {"idle", measure_idle},     {"first", measure_first},
    {"reject", measure_reject}, {"throughput", measure_throughput},
    {"memory", measure_memory},  // last: it keeps to half of the cores from there on
};

void make_small(ServeSettings& settings) {
  settings.rows = 1'000;
  settings.queries = 200;
  settings.starts = 2;
  settings.rejects = 1'000;
  settings.connections = 4;
  settings.seconds = 0.1;
  settings.repeats = 1;
  settings.crowd = 32;
  settings.factor = 3.0;
  settings.overload_s = 0.5;
}

void body(int argc, char** argv) {
  CLI::App app("What serving costs beyond the engine");
  ServeSettings settings;
  std::vector<std::string> only;
  add_common_flags(app, settings.common);
  app.add_option("--only", only,
                 "cases, separated by commas: idle, first, reject, throughput, memory")
      ->delimiter(',');
  app.add_option("--rows", settings.rows, "of idle and first")->capture_default_str();
  app.add_option("--queries", settings.queries, "of idle")->capture_default_str();
  app.add_option("--data", settings.data, "data set of throughput")->capture_default_str();
  app.add_option("--data-folder", settings.data_folder, "where made data sets are")
      ->capture_default_str();
  app.add_option("--connections", settings.connections, "of throughput")->capture_default_str();
  app.add_option("--pipelined", settings.pipelined, "unanswered requests on each of them, in turn")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--seconds", settings.seconds, "of each round of throughput")
      ->capture_default_str();
  app.add_option("--crowd", settings.crowd, "connections of memory")->capture_default_str();
  app.add_option("--factor", settings.factor, "times the capacity, of memory")
      ->capture_default_str();
  app.add_option("--overload-seconds", settings.overload_s, "of memory")->capture_default_str();
  parse_flags(app, argc, argv);
  for (const std::string& name : only) {
    const bool known = std::any_of(std::begin(kCases), std::end(kCases),
                                   [&](const auto& one) { return name == one.first; });
    require(known, "there is no case " + name);
  }
  if (settings.common.smoke) make_small(settings);
  for (const auto& [name, measure] : kCases) {
    if (only.empty() || std::find(only.begin(), only.end(), name) != only.end()) measure(settings);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_serve", body, argc, argv);
}
