// Where values land on an axis and how numbers are written. Every renderer trusts both, so the
// edges are here: values outside, empty axes, units at their borders.
// Main thread; plain values, no file.
#include "tools/plot/scale.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace vecserve::plot;

TEST_CASE("scale: each further nine has the same width") {
  const Axis axis{"", Quantity::percentile, ScaleKind::nines, 0.0, 0.9999};
  CHECK(position(axis, 0.0) == Approx(0.0));
  CHECK(position(axis, 0.9) == Approx(0.25));
  CHECK(position(axis, 0.99) == Approx(0.5));
  CHECK(position(axis, 0.9999) == Approx(1.0));
}

TEST_CASE("scale: what lies outside an axis is at its edge, and nothing is infinite") {
  const Axis log{"", Quantity::micros, ScaleKind::log10, 1.0, 1000.0};
  CHECK(position(log, 0.0) == 0.0);
  CHECK(position(log, -5.0) == 0.0);
  CHECK(position(log, 1e9) == 1.0);
  CHECK(position(log, INFINITY) == 1.0);
  CHECK(position(log, NAN) == 0.0);
  const Axis empty{"", Quantity::plain, ScaleKind::linear, 3.0, 3.0};
  CHECK(position(empty, 7.0) == 0.0);
  CHECK(ticks(empty, 5).size() == 1);
}

TEST_CASE("scale: units keep numbers short") {
  CHECK(text_of(Quantity::micros, 0.0) == "0");
  CHECK(text_of(Quantity::micros, 0.08) == "80 ns");
  CHECK(text_of(Quantity::micros, 410.0) == "410 µs");
  CHECK(text_of(Quantity::micros, 999.96) == "1 ms");
  CHECK(text_of(Quantity::micros, 6780.0) == "6.78 ms");
  CHECK(text_of(Quantity::micros, 23.04e6) == "23 s");
  CHECK(text_of(Quantity::seconds, 2.5) == "2.5 s");
  CHECK(text_of(Quantity::per_second, 12'500.0) == "12.5 k/s");
  CHECK(text_of(Quantity::per_second, 40.0) == "40/s");
  CHECK(text_of(Quantity::share, 0.953) == "95.3 %");
  CHECK(text_of(Quantity::percentile, 0.5) == "p50");
  CHECK(text_of(Quantity::percentile, 0.999) == "p99.9");
  CHECK(text_of(Quantity::percentile, 0.9999) == "p99.99");
  CHECK(text_of(Quantity::percentile, 1.0) == "max");
  CHECK(text_of(Quantity::plain, 5.21) == "5.21");
}

TEST_CASE("scale: ticks are round, rise, lie within the axis and are not too many") {
  const std::vector<Axis> axes = {
      {"", Quantity::plain, ScaleKind::linear, 0.0, 30'000.0},
      {"", Quantity::plain, ScaleKind::linear, 0.0, 0.7},
      {"", Quantity::micros, ScaleKind::log10, 1.0, 5e7},
      {"", Quantity::micros, ScaleKind::log10, 200.0, 500.0},
      {"", Quantity::percentile, ScaleKind::nines, 0.0, 0.99999},
  };
  for (const Axis& axis : axes) {
    for (const std::size_t most : {2u, 5u, 10u}) {
      const std::vector<Tick> marks = ticks(axis, most);
      CHECK_FALSE(marks.empty());
      CHECK(marks.size() <= most);
      for (std::size_t i = 0; i < marks.size(); ++i) {
        CHECK(marks[i].value >= axis.low * (1 - 1e-9));
        CHECK(marks[i].value <= axis.high * (1 + 1e-9));
        if (i > 0) CHECK(marks[i].value > marks[i - 1].value);
      }
    }
  }
}

TEST_CASE("scale: fitted axes contain their values and begin and end on round numbers") {
  Axis axis;
  fit_log(axis, 130.0, 4.3e6);
  CHECK(axis.low == Approx(100.0));
  CHECK(axis.high == Approx(5e6));
  fit_log(axis, 500.0, 500.0);
  CHECK(axis.low <= 500.0);
  CHECK(axis.high >= 500.0);
  CHECK(axis.high > axis.low);
  fit_log(axis, 0.0, 0.0);
  CHECK(axis.high > axis.low);
  fit_linear(axis, 7'300.0);
  CHECK(axis.low == 0.0);
  CHECK(axis.high == Approx(8'000.0));
  fit_linear(axis, 0.0);
  CHECK(axis.high == 1.0);
}
