// Checks engine/scan/extremes against looking at every value: of none, few and many, wherever the
// least and the most are, and with infinities and what is no number. Single-threaded.
// Always holds: values are made by the test, nothing is random.
#include "engine/scan/extremes.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

namespace {

using vecserve::engine::Extremes;
using vecserve::engine::extremes_of;

constexpr double kInf = std::numeric_limits<double>::infinity();

Extremes<double> of(const std::vector<double>& values) {
  return extremes_of<double>(std::span(values), [](double value) { return value; });
}

TEST_CASE("extremes: the least and the most are found wherever they are", "[scan]") {
  for (std::size_t count = 2; count <= 13; ++count) {
    for (std::size_t least = 0; least < count; ++least) {
      for (std::size_t most = 0; most < count; ++most) {
        if (least == most) continue;
        CAPTURE(count, least, most);
        std::vector<double> values(count, 2.0);
        values[least] = -3.0;
        values[most] = 5.0;
        CHECK(of(values).least == -3.0);
        CHECK(of(values).most == 5.0);
      }
    }
  }
}

TEST_CASE("extremes: of one value both are it, of none nothing is between them", "[scan]") {
  CHECK(of({7.0}).least == 7.0);
  CHECK(of({7.0}).most == 7.0);
  CHECK(of({}).least == kInf);
  CHECK(of({}).most == -kInf);
}

TEST_CASE("extremes: infinities count, what is no number does not", "[scan]") {
  const double nan = std::nan("");
  const Extremes<double> found = of({nan, 1.0, nan, nan, 2.0, nan});
  CHECK(found.least == 1.0);
  CHECK(found.most == 2.0);
  CHECK(of({1.0, 2.0, 3.0, kInf, 4.0}).most == kInf);
  CHECK(of({1.0, -kInf, 3.0, 2.0, 4.0}).least == -kInf);
}

TEST_CASE("extremes: numbers are taken from values by the caller's function", "[scan]") {
  struct Row {
    int id;
    float bound;
  };
  const std::vector<Row> rows = {{1, 4.0f}, {2, -1.0f}, {3, 2.5f}};
  const auto found = extremes_of<float>(std::span(rows), [](const Row& row) { return row.bound; });
  CHECK(found.least == -1.0f);
  CHECK(found.most == 4.0f);
}

}  // namespace
