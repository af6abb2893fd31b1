// Checks engine/scan/coarse_kernels_generic on one row and one query done by hand: the score, and
// the border of survival. What all tables have in common is in
// tests/conformance/coarse_kernels_test.cc. Single-threaded.
#include <catch2/catch.hpp>
#include <vector>

#include "engine/scan/coarse_kernels.h"

namespace {

using namespace vecserve::engine;

// The row (6, -2) with scale 2 and the query (1, 4) with scale 0.5: codes (3, -1) and (2, 8).
struct Pair {
  Pair() {
    codes[0] = 131;
    codes[1] = 127;
    query[0] = 2;
    query[1] = 8;
    rows.codes = codes.data();
    rows.stride = 64;
    rows.scales = &scale;
    rows.squares = &square;
    rows.residuals = &residual;
    rows.norms = &norm;
    rows.count = 1;
    limit.bias = 128 * 10;
  }

  std::vector<std::uint8_t> codes = std::vector<std::uint8_t>(64, 128);
  std::vector<std::int8_t> query = std::vector<std::int8_t>(64, 0);
  float scale = 2.0f;
  float square = 40.0f;
  float residual = 0.5f;
  float norm = 7.0f;
  CoarseRows rows;
  CoarseLimit limit;
  Survivor out{99, 0.0f};
};

TEST_CASE("generic coarse kernels: the l2 score, and survival at its border", "[scan]") {
  const CoarseKernels& table = coarse_kernels_for("generic");
  Pair pair;
  pair.limit.scale = 1.0f;  // twice that of the query
  pair.limit.square = 17.0f;
  pair.limit.reach = 7.4f;  // (7.4 + 0.5)^2 = 62.41 against 61 = (6 - 1)^2 + (-2 - 4)^2
  REQUIRE(table.one_l2(pair.rows, pair.query.data(), pair.limit, &pair.out) == 1);
  CHECK(pair.out.row == 0);
  CHECK(pair.out.score == 61.0f);
  pair.limit.reach = 7.3f;  // 60.84
  CHECK(table.one_l2(pair.rows, pair.query.data(), pair.limit, &pair.out) == 0);
}

TEST_CASE("generic coarse kernels: the dot score, and survival at its border", "[scan]") {
  const CoarseKernels& table = coarse_kernels_for("generic");
  Pair pair;
  pair.limit.scale = 0.5f;
  pair.limit.coarse_norm = 4.0f;
  pair.limit.residual = 0.25f;
  pair.limit.reach = -1.7f;  // score 2 less slack 4 * 0.5 + 0.25 * 7 = 3.75 makes -1.75
  REQUIRE(table.one_dot(pair.rows, pair.query.data(), pair.limit, &pair.out) == 1);
  CHECK(pair.out.score == 2.0f);
  pair.limit.reach = -1.8f;
  CHECK(table.one_dot(pair.rows, pair.query.data(), pair.limit, &pair.out) == 0);
}

TEST_CASE("generic coarse kernels: a row that is not eligible is passed over", "[scan]") {
  const CoarseKernels& table = coarse_kernels_for("generic");
  Pair pair;
  pair.limit.reach = 1e9f;
  std::uint64_t eligible = 2;
  pair.rows.eligible = &eligible;
  CHECK(table.one_l2(pair.rows, pair.query.data(), pair.limit, &pair.out) == 0);
  eligible = 1;
  CHECK(table.one_l2(pair.rows, pair.query.data(), pair.limit, &pair.out) == 1);
}

}  // namespace
