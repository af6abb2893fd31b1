// The choice between device and CPU: small scans stay on the CPU, large ones go, and measurements
// move the border. Comes beside the scanner's tests. Test thread only. Always holds: nonsense from
// a clock makes no nonsense of an estimate.
#include "engine/gpu/scan_costs.h"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>

namespace {

using vecserve::engine::gpu::ScanCosts;

TEST_CASE("scan costs: small scans stay on the CPU, large ones and large batches go") {
  ScanCosts costs;
  costs.set_device(10'000, std::size_t{256} << 20, 10'000 + 80'000);  // about 3.3 TB/s
  CHECK_FALSE(costs.device_is_faster(10'000, 1, 1));
  CHECK(costs.device_is_faster(100'000'000, 1, 1));
  CHECK(costs.device_is_faster(100'000'000, 1, 16));
  // Four queries cost the CPU one pass; sixty-four the device.
  CHECK_FALSE(costs.device_is_faster(300'000, 1, 1));
  CHECK(costs.device_is_faster(300'000, 64, 1));
}

TEST_CASE("scan costs: measurements move the border") {
  ScanCosts costs;
  costs.set_device(10'000, std::size_t{256} << 20, 90'000);
  REQUIRE(costs.device_is_faster(5'000'000, 1, 1));
  for (int i = 0; i < 200; ++i) costs.note_device(5'000'000, 1, 10'000'000);
  CHECK_FALSE(costs.device_is_faster(5'000'000, 1, 1));
  CHECK(costs.device_ns(5'000'000, 1) == Approx(10'000'000.0).epsilon(0.01));
  for (int i = 0; i < 200; ++i) costs.note_cpu(5'000'000, 1, 2, 20'000'000);
  CHECK(costs.device_is_faster(5'000'000, 1, 2));
  CHECK(costs.cpu_ns(5'000'000, 1, 2) == Approx(20'000'000.0).epsilon(0.01));
}

TEST_CASE("scan costs: estimates stay finite and positive") {
  ScanCosts costs;
  costs.set_device(100, 0, 50);
  costs.set_device(UINT64_MAX, 1, 0);
  costs.note_cpu(0, 0, 0, 0);
  costs.note_cpu(1, 1, 0, UINT64_MAX);
  costs.note_device(1, 1, 0);
  for (const double ns : {costs.cpu_ns(1'000, 1, 0), costs.device_ns(1'000, 1)}) {
    CHECK(std::isfinite(ns));
    CHECK(ns > 0.0);
  }
}

TEST_CASE("scan costs: sketches are read while they turn most rows away, and tried again later") {
  ScanCosts costs;
  const ScanCosts::RowBytes bytes{28.0, 64.0, 784.0};
  const int here = 0;
  CHECK(costs.sketches_pay(&here, bytes));  // nobody knows yet
  for (int i = 0; i < 100; ++i) costs.note_sifted(&here, 1'000, 100, 12);
  CHECK(costs.sketches_pay(&here, bytes));
  for (int i = 0; i < 100; ++i) costs.note_sifted(&here, 1'000, 1'000, 900);
  int tried = 0;
  for (int i = 0; i < 2'560; ++i) tried += costs.sketches_pay(&here, bytes) ? 1 : 0;
  CHECK(tried == 10);
  // What the rows are now is what counts.
  for (int i = 0; i < 100; ++i) costs.note_sifted(&here, 1'000, 50, 2);
  CHECK(costs.sketches_pay(&here, bytes));
  costs.note_sifted(&here, 0, 0, 0);
  CHECK(costs.sketches_pay(&here, bytes));
  // Rows that are hardly longer than their sketch are read at once.
  CHECK_FALSE(costs.sketches_pay(&here, {28.0, 64.0, 30.0}));
}

TEST_CASE("scan costs: other axes have their own shares") {
  ScanCosts costs;
  const ScanCosts::RowBytes bytes{28.0, 64.0, 784.0};
  std::array<std::uint64_t, 64> many{};
  for (int i = 0; i < 100; ++i) costs.note_sifted(&many[0], 1'000, 1'000, 1'000);
  int pay = 0;
  for (const std::uint64_t& axes : many) pay += costs.sketches_pay(&axes, bytes) ? 1 : 0;
  CHECK(pay >= 48);
  CHECK_FALSE(costs.sketches_pay(&many[0], bytes));
}

}  // namespace
