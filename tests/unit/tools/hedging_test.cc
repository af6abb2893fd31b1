// The lab's chapters with a hedging client run whole in lab_test, through the program; here what
// their rows are filled with. Main thread.
// Always holds: what the samples do not support stays 0.
#include "tools/lab/hedging.h"

#include <catch2/catch.hpp>
#include <numeric>

using namespace vecserve;

TEST_CASE("lab: a row holds the percentiles that its samples support, and no others") {
  std::vector<double> latencies(500);
  std::iota(latencies.rbegin(), latencies.rend(), 1.0);  // 500 down to 1
  lab::Row row;
  lab::fill(row, latencies);
  CHECK(row.n == 500);
  CHECK(row.p50_us == 250.0);
  CHECK(row.p99_us == 495.0);
  CHECK(row.p999_us == 0.0);  // wants 2,995
  CHECK(row.max_us == 500.0);
  lab::fill(row, {});
  CHECK(row.n == 0);
  CHECK(row.max_us == 0.0);
}
