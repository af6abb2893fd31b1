// The essay's story on this machine, chapter by chapter: one operation, a batch service without
// bounds, the same with bounds, and clients in front of replicas that stall. Each chapter gives its
// figures and says what they are; lab.cc prints them and writes the report.
// Runs on the calling thread. Always holds: both services get the same seeded schedule.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/plot/report.h"
#include "vecserve/status.h"

namespace vecserve::lab {

struct StoryOptions {
  bool quick = false;
  std::uint64_t seed = 1;
  std::string folder;  // for files of the probe
};

// One row of the essay's table, and ours beside it. In microseconds; 0: not supported by the
// samples, or not told.
struct Row {
  std::string name;
  std::string measures;  // response or service time, simulated or not
  std::uint64_t essay_n = 0, n = 0;
  double essay_p50_us = 0.0, essay_p99_us = 0.0, essay_p999_us = 0.0;
  double p50_us = 0.0, p99_us = 0.0, p999_us = 0.0, max_us = 0.0;
  double answered_in_time = 0.0;  // share of all that were offered; 0: not a service
};

struct Story {
  std::vector<Row> rows;
  std::vector<plot::Section> sections;
  // The essay's own measure: how long the accepted requests of the naive and of the bounded service
  // take, at the same offered load.
  double naive_p99_us = 0.0;
  double bounded_p99_us = 0.0;
  double naive_in_time = 0.0;
  double bounded_in_time = 0.0;

  // Bounded answers faster at p99, and at least as many in time.
  [[nodiscard]] bool bounded_is_better() const {
    return bounded_p99_us > 0.0 && bounded_p99_us < naive_p99_us &&
           bounded_in_time >= naive_in_time;
  }
};

// `progress` is told what is being done.
[[nodiscard]] Result<Story> tell(const StoryOptions& options,
                                 const std::function<void(const std::string&)>& progress);

// n, percentiles as far as the samples support them, and max, from latencies in any order.
void fill(Row& row, std::vector<double> latencies_us);

// "what | essay p50 p99 p99.9 | here ..."
[[nodiscard]] plot::Table table_of(const std::vector<Row>& rows);

}  // namespace vecserve::lab
