// How much memory do rows take beside their raw vectors? Canonical run: bench_memory --rows 1000000
// --dim 128 --json -, also with --planes sketch, which makes all planes although random rows gain
// nothing by sketches, and with --planes full, which keeps nothing beside the vectors as they were
// given. Columns: when is "loaded" (after the load) or "reopened" (after a fresh open of the same
// folder, in this process), both once the background thread has made the planes; rss_mib, resident
// memory less what the process had before; raw_mib, rows * dim * 4 bytes; ratio, rss_mib / raw_mib;
// key_mib, what the collection says its ids and positions take; ratio_without_keys; coarse_mib and
// sketch_mib, what it says its planes take. Measured as the system sees it: nothing is trimmed or
// dropped first.
#include <fstream>
#include <optional>
#include <string>

#include "tools/bench/bench_report.h"
#include "tools/bench/loaded_database.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;

constexpr double kMib = 1 << 20;

double rss_mib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024.0;
  }
  throw std::runtime_error("the system does not tell VmRSS");
}

void add_case(Report& report, const char* when, const std::string& planes,
              const DatabaseShape& shape, double before, const Collection& rows) {
  wait_for_planes(rows);
  const double rss = rss_mib() - before;
  const Result<CollectionStats> stats = rows.stats();
  require(stats.ok(), stats.status().to_string());
  const double raw = static_cast<double>(shape.rows) * shape.dim * sizeof(float) / kMib;
  const double keys = static_cast<double>(stats->index_bytes) / kMib;
  report.add({{"when", when},
              {"planes", planes},
              {"rows", shape.rows},
              {"dim", shape.dim},
              {"rss_mib", rss},
              {"raw_mib", raw},
              {"ratio", rss / raw},
              {"key_mib", keys},
              {"ratio_without_keys", (rss - keys) / raw},
              {"vector_mib", static_cast<double>(stats->vector_bytes) / kMib},
              {"coarse_mib", static_cast<double>(stats->coarse_bytes) / kMib},
              {"sketch_mib", static_cast<double>(stats->sketch_bytes) / kMib},
              {"rows_sketched", stats->rows_sketched}});
}

void run(int argc, char** argv) {
  CommonFlags common;
  DatabaseShape shape;
  bool in_memory = false;
  std::string planes = "automatic";
  CLI::App app("Resident memory of a loaded database against its raw vectors");
  add_common_flags(app, common);
  app.add_option("--rows", shape.rows)->check(CLI::Range(2, 100'000'000));
  app.add_option("--dim", shape.dim)->check(CLI::Range(1, 65536));
  app.add_option("--planes", planes,
                 "what is kept of each vector: automatic, full, coarse or sketch");
  app.add_flag("--in-memory", in_memory, "a database that keeps nothing on disk");
  parse_flags(app, argc, argv);
  if (common.smoke) {
    shape.rows = 5000;
    shape.dim = 16;
  }
  shape.seed = common.seed;
  const BenchFolder folder(common);
  Report report("memory", common);
  DatabaseOptions options;
  options.in_memory = in_memory;
  const std::optional<Planes> choice = parse_planes(planes);
  require(choice.has_value(), "planes: automatic, full, coarse or sketch, not " + planes);
  options.planes = *choice;

  const double before = rss_mib();
  Result<Database> database = Database::open(folder.at("db"), options);
  require(database.ok(), database.status().to_string());
  Collection rows = load_rows(*database, shape);
  add_case(report, "loaded", planes, shape, before, rows);
  check_rows(rows, shape);
  if (in_memory) return;
  require(database->close().ok(), "close failed");
  rows = Collection();
  database = Status(StatusCode::unavailable, "closed");

  const double between = rss_mib();
  database = Database::open(folder.at("db"), options);
  require(database.ok(), database.status().to_string());
  rows = database->collection("rows").value();
  // What the first database left with the allocator is used again: it counts as in use.
  const double kept = std::max(0.0, between - before);
  add_case(report, "reopened", planes, shape, before, rows);
  progress("kept by the process between the two: " + std::to_string(kept) + " MiB");
  check_rows(rows, shape);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_memory", run, argc, argv);
}
