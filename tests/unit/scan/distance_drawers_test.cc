// Checks engine/scan/distance_drawers: the order of drawers, and the bound that k rows are within.
// Single-threaded; distances come from a seed. Comes before scoring_test. Always holds: what is
// found is what sorting finds, to a drawer's width.
#include "engine/scan/distance_drawers.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "tests/support/dice.h"

namespace {

using namespace vecserve::engine;

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Row {
  double distance = 0.0;
  std::uint32_t number = 0;
};

double distance_of(const Row& row) {
  return row.distance;
}

std::vector<Row> rows_from(vecserve::test::Dice& dice, std::size_t count, std::uint64_t spread) {
  std::vector<Row> rows(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto distance = static_cast<double>(dice.below(spread)) - 300.0;
    rows[i] = {distance, static_cast<std::uint32_t>(i)};
  }
  return rows;
}

TEST_CASE("drawers: rows of a later drawer are never nearer, and none is lost", "[scan]") {
  const std::uint64_t seed = 5;
  CAPTURE(seed);
  vecserve::test::Dice dice(seed);
  for (const std::uint64_t spread : {2U, 700U, 1'000'000U}) {
    CAPTURE(spread);
    std::vector<Row> rows = rows_from(dice, 900, spread);
    std::vector<Row> spare(rows.size());
    const auto drawers = drawers_for<Row>(rows, distance_of);
    REQUIRE(drawers.usable());
    const DrawerEnds ends =
        bring_into_drawers(std::span(rows), std::span(spare), drawers, distance_of);
    CHECK(ends.back() == rows.size());
    std::vector<bool> seen(rows.size());
    double before = -kInf;
    std::uint32_t begin = 0;
    for (const std::uint32_t end : ends) {
      double most = before;
      for (std::uint32_t i = begin; i < end; ++i) {
        REQUIRE(rows[i].distance > before);
        REQUIRE_FALSE(seen[rows[i].number]);
        seen[rows[i].number] = true;
        if (i > begin) REQUIRE(rows[i - 1].number < rows[i].number);
        most = std::max(most, rows[i].distance);
      }
      before = most;
      begin = end;
    }
    CHECK(std::count(seen.begin(), seen.end(), true) == 900);
  }
}

TEST_CASE("drawers: equal distances and those without end are not for them", "[scan]") {
  const auto usable = [](std::vector<Row> rows) {
    return drawers_for<Row>(rows, distance_of).usable();
  };
  CHECK(usable({{1.0, 0}, {2.0, 1}}));
  CHECK_FALSE(usable({}));
  CHECK_FALSE(usable({{1.0, 0}, {1.0, 1}}));
  CHECK_FALSE(usable({{1.0, 0}, {kInf, 1}}));
  CHECK_FALSE(usable({{-kInf, 0}, {1.0, 1}}));
  CHECK_FALSE(usable({{1e308, 0}, {-1e308, 1}}));
  CHECK_FALSE(usable({{0.0, 0}, {5e-324, 1}}));
}

TEST_CASE("drawers: k rows are within the bound, which is near to the k-th distance", "[scan]") {
  const std::uint64_t seed = 6;
  CAPTURE(seed);
  vecserve::test::Dice dice(seed);
  for (const std::size_t k : {1U, 40U, 500U}) {
    CAPTURE(k);
    std::vector<Row> rows = rows_from(dice, 900, 100'000);
    // Those that come later may be nearer and further than any of the first.
    const auto drawers = drawers_for<Row>(std::span(rows).first(500), distance_of);
    NearestDrawers nearest(drawers, k);
    std::vector<double> known;
    for (const Row& row : rows) {
      nearest.add(row.distance);
      known.insert(std::upper_bound(known.begin(), known.end(), row.distance), row.distance);
      const double bound = nearest.bound();
      if (known.size() < k) {
        REQUIRE(bound == kInf);
      } else {
        REQUIRE(bound >= known[k - 1]);
        REQUIRE(bound <= known[k - 1] + 100'000.0 / Drawers::kCount);
      }
    }
  }
}

}  // namespace
