// Checks engine/scan/sketch_kernels_generic on one row and one query done by hand: bound and
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
  float least[1];
  SketchSurvivor survivor;
};

TEST_CASE("generic sketch kernels: the bound of one row", "[sketch]") {
  One one;
  REQUIRE(std::string_view(one.table.name) == "generic");
  one.table.measure(one.rows, one.probe, one.bounds, one.least);
  // 50 + 200 - 0.5 * 2 * 133 - 30 = 87
  CHECK(one.bounds[0] == Approx(std::sqrt(87.0f) - 0.5f).epsilon(1e-4));
  CHECK(one.least[0] == one.bounds[0]);
}

TEST_CASE("generic sketch kernels: the first stripe decides, then both", "[sketch]") {
  One one;
  const auto sift = [&one](float first, float all) {
    return one.table.sift(one.rows, one.probe, {first, all}, &one.survivor);
  };
  // 87 against (reach + 0.5)^2
  CHECK(sift(std::sqrt(86.9f) - 0.5f, 100.0f).first == 0);
  CHECK(sift(std::sqrt(87.1f) - 0.5f, 100.0f).first == 1);
  CHECK(sift(std::sqrt(87.1f) - 0.5f, 100.0f).all == 1);
  // 60 + 210 - 133 + 6 - 32 = 111 against (reach + 0.25)^2
  CHECK(sift(9.0f, std::sqrt(110.0f) - 0.25f).first == 1);
  CHECK(sift(9.0f, std::sqrt(110.0f) - 0.25f).all == 0);
  CHECK(sift(9.0f, std::sqrt(112.0f) - 0.25f).all == 1);
  CHECK(one.survivor.row == 0);
  CHECK(one.survivor.bound == Approx(std::sqrt(111.0f) - 0.25f).epsilon(1e-4));
  one.eligible = 0;
  CHECK(sift(9.0f, std::sqrt(112.0f) - 0.25f).first == 0);
}

}  // namespace
