// Checks engine/scan/sketch_kernels_generic on one row and one query done by hand: bound, dots and
// the border of survival. What all tables have in common is in
// tests/conformance/sketch_kernels_test.cc. Single-threaded.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "engine/scan/sketch_kernels.h"

namespace {

using namespace vecserve::engine;

// One row with code 2 along the first axis and code -3 along the first of the second stripe.
struct One {
  One() {
    for (std::uint8_t& code : first) code = 128;
    first[0] = 130;
    for (std::uint8_t& code : fine) code = 128;
    fine[0] = 125;
    const float numbers[3] = {60.0f, 4.0f, 0.25f};
    std::memcpy(fine + 16, numbers, sizeof(numbers));
    rows.first = first;
    rows.bases = &base;
    rows.lefts = &left;
    rows.reaches = &reach;
    rows.fine = fine;
    rows.fine_codes = 16;
    rows.fine_stride = 32;
    rows.eligible = &eligible;
    rows.count = 1;
    probe.high[0] = 1;  // y = 133
    probe.low[0] = 5;
    probe.bias[0] = 128 * 133;
    probe.steps[0] = 0.5f;
    probe.low[16] = 2;
    probe.bias[1] = 128 * 2;
    probe.steps[1] = 1.0f;
    probe.first.base = 200.0f;
    probe.first.twice_left = 10.0f;
    probe.all.base = 210.0f;
    probe.all.twice_left = 8.0f;
  }
  const SketchKernels& table = sketch_kernels_for("generic");
  std::uint8_t first[256];
  std::uint8_t fine[32];
  float base = 50.0f;
  float left = 3.0f;
  float reach = 0.5f;
  std::uint64_t eligible = 1;
  SketchRows rows;
  SketchProbe probe;
  float bounds[16];
  float dots[16];
  float least[1];
  std::uint64_t survivors = ~std::uint64_t{0};
};

TEST_CASE("generic sketch kernels: bound and dots of one row", "[sketch]") {
  One one;
  REQUIRE(std::string_view(one.table.name) == "generic");
  one.table.measure(one.rows, one.probe, one.bounds, one.dots, one.least);
  CHECK(one.dots[0] == 133.0f);  // 0.5 * 2 * 133
  // 50 + 200 - 133 - 30 = 87
  CHECK(one.bounds[0] == Approx(std::sqrt(87.0f) - 0.5f).epsilon(1e-4));
  CHECK(one.least[0] == one.bounds[0]);
}

TEST_CASE("generic sketch kernels: the first stripe decides, then both", "[sketch]") {
  One one;
  one.table.measure(one.rows, one.probe, one.bounds, one.dots, one.least);
  one.probe.all.reach = 100.0f;
  CHECK(one.table.sift(one.rows, one.probe, 8.0f, one.bounds, one.dots, &one.survivors) == 0);
  CHECK(one.survivors == 0);
  CHECK(one.table.sift(one.rows, one.probe, 9.0f, one.bounds, one.dots, &one.survivors) == 1);
  CHECK(one.survivors == 1);
  // 60 + 210 - 133 + 6 - 32 = 111 against (reach + 0.25)^2
  one.probe.all.reach = std::sqrt(110.0f) - 0.25f;
  CHECK(one.table.sift(one.rows, one.probe, 9.0f, one.bounds, one.dots, &one.survivors) == 1);
  CHECK(one.survivors == 0);
  one.probe.all.reach = std::sqrt(112.0f) - 0.25f;
  CHECK(one.table.sift(one.rows, one.probe, 9.0f, one.bounds, one.dots, &one.survivors) == 1);
  CHECK(one.survivors == 1);
  one.eligible = 0;
  CHECK(one.table.sift(one.rows, one.probe, 9.0f, one.bounds, one.dots, &one.survivors) == 0);
  CHECK(one.survivors == 0);
}

}  // namespace
