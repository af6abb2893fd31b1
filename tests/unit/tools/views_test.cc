// What the views make of measurements: percentiles that the samples support and no others, bands
// around lines, axes around everything. How it looks is the golden test's.
// Main thread; plain values.
#include "tools/plot/views.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "tests/unit/tools/plot_samples.h"

using namespace vecserve::plot;

TEST_CASE("views: the samples that a percentile wants") {
  CHECK(samples_needed(0.5) == 5);
  CHECK(samples_needed(0.99) == 299);
  CHECK(samples_needed(0.999) == 2'995);
  CHECK(samples_needed(0.9999) == 29'956);
}

TEST_CASE("views: a percentile without the samples is not drawn, and the note says so") {
  for (const std::size_t count : {std::size_t{2'994}, std::size_t{2'995}}) {
    const Spectrum spectrum = spectrum_of("run", sample_latencies(count, 100.0, 50, 1e3));
    const bool has = spectrum.points.back().p >= 0.999 - 1e-9;
    CHECK(has == (count == 2'995));
    const Figure figure = spectrum_figure({"s", "t", "u"}, {spectrum});
    const bool told = figure.note.find("p99.9 wants 2,995 samples") != std::string::npos;
    CHECK(told == !has);
  }
}

TEST_CASE("views: points that a caller adds beyond its samples are cut off") {
  const Spectrum claimed{"claim", 500, {{0.5, 400, 390, 410}, {0.999, 9e4, 8e4, 9e4}}, 9e4, false};
  const Figure figure = spectrum_figure({"s", "t", "u"}, {claimed});
  REQUIRE(figure.lines.size() == 1);
  CHECK(figure.lines[0].points.size() == 1);
}

TEST_CASE("views: percentiles are values of the sample, and none of nothing") {
  std::vector<double> ascending(1000);
  std::iota(ascending.begin(), ascending.end(), 1.0);
  CHECK(percentile_of(ascending, 0.0) == 1.0);
  CHECK(percentile_of(ascending, 0.5) == 500.0);
  CHECK(percentile_of(ascending, 0.99) == 990.0);
  CHECK(percentile_of(ascending, 1.0) == 1000.0);
  CHECK(percentile_of({}, 0.5) == 0.0);
  CHECK(spectrum_of("none", {}).points.empty());
}

TEST_CASE("views: 95 % bands hold the true percentile in about 95 % of runs") {
  const std::uint64_t seed = 20;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> draw(1.0);
  const double p = 1.0 - 1.0 / 64.0;  // near p98.4; a value the spectrum's steps come close to
  std::size_t held = 0;
  constexpr std::size_t kRuns = 400;
  for (std::size_t run = 0; run < kRuns; ++run) {
    std::vector<double> samples(2000);
    for (double& x : samples) x = draw(random);
    const Spectrum spectrum = spectrum_of("run", samples);
    const SpectrumPoint* near = nullptr;
    for (const SpectrumPoint& point : spectrum.points) {
      if (point.p <= p) near = &point;
    }
    REQUIRE(near != nullptr);
    const double truth = -std::log(1.0 - near->p);
    held += near->low_us <= truth && truth <= near->high_us ? 1 : 0;
  }
  // 380 expected; five standard deviations (4.4 each) on either side.
  CHECK(held >= 358);
}

TEST_CASE("views: bands surround their line and axes contain both") {
  for (const Figure& figure : {sample_spectrum(), sample_overlay()}) {
    for (const Line& line : figure.lines) {
      REQUIRE(line.band.size() == line.points.size());
      for (std::size_t i = 0; i < line.points.size(); ++i) {
        CHECK(line.band[i].low <= line.points[i].y);
        CHECK(line.band[i].high >= line.points[i].y);
        CHECK(line.band[i].low >= figure.y.low * (1 - 1e-9));
        CHECK(line.band[i].high <= figure.y.high * (1 + 1e-9));
      }
    }
  }
}

TEST_CASE("views: an overlay says by how much the tail moved") {
  const Figure figure = sample_overlay();
  REQUIRE(figure.marks.size() == 2);
  CHECK(figure.marks[1].label.find("p99.9 ") == 0);
  CHECK(figure.marks[1].label.find("× lower") != std::string::npos);
}

TEST_CASE("views: a heat map counts every sample once, also at the edges") {
  const std::vector<TimedSample> samples = {{0.0, 1.0}, {0.0, 0.0}, {5.0, 100.0}, {10.0, 1e6}};
  const HeatGrid grid = heat_of(samples, 7, 5);
  CHECK(std::accumulate(grid.counts.begin(), grid.counts.end(), std::uint64_t{0}) == 4);
  CHECK(grid.time_edges_s.size() == 8);
  CHECK(grid.latency_edges_us.size() == 6);
  CHECK(heat_figure({"h", "t", "u"}, heat_of({}, 7, 5)).note == "There was no sample.");
}

TEST_CASE("views: a step without the samples for a percentile leaves a gap and a note") {
  const Figure figure = sample_curve();
  REQUIRE(figure.lines.size() == 2);
  CHECK(figure.lines[0].points.size() == 9);
  CHECK(figure.lines[1].points.size() == 8);
  CHECK(figure.note.find("1 of 9 steps") == 0);
  CHECK(figure.rules.size() == 2);
}

TEST_CASE("views: a waterfall leaves out empty and unknown stages") {
  const Figure figure = waterfall_figure(
      {"w", "t", "u"}, {"queue", "scan"},
      {{"#1", {{0, 0.0, 10.0}, {1, 10.0, 10.0}, {7, 10.0, 20.0}, {1, 10.0, 30.0}}}});
  CHECK(figure.bars.size() == 2);
  CHECK(figure.row_labels == std::vector<std::string>{"#1"});
  CHECK(waterfall_figure({"w", "t", "u"}, {"queue"}, {}).note == "There was no request.");
}
