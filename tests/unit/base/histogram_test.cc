// Checks engine/base/histogram: the layout of its cells, quantiles against sorted values, merging,
// clipping, and that intervals lose and double nothing while others record. Runs under TSan too.
// Always holds: what is compared with sorted values is compared for the promised 1 %.
#include "engine/base/histogram.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace vecserve::engine;

TEST_CASE("histogram: every cell holds its own ends and none wider than 1/128 of its low end",
          "[base][histogram]") {
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    const std::uint64_t low = HistogramCells::low(cell);
    const std::uint64_t high = HistogramCells::high(cell);
    REQUIRE(HistogramCells::cell_of(low) == cell);
    REQUIRE(HistogramCells::cell_of(high) == cell);
    if (cell > 0) {
      REQUIRE(HistogramCells::high(cell - 1) + 1 == low);
    }
    REQUIRE((high - low) * 128 <= low);
    REQUIRE(HistogramCells::middle(cell) >= low);
    REQUIRE(HistogramCells::middle(cell) <= high + 1);
  }
  CHECK(HistogramCells::low(0) == 0);
  CHECK(HistogramCells::high(255) == 255);
  CHECK(HistogramCells::low(256) == 256);
  CHECK(HistogramCells::high(256) == 257);
}

TEST_CASE("histogram: an empty one answers zero and knows that it is empty", "[base][histogram]") {
  const Histogram empty;
  CHECK(empty.total() == 0);
  CHECK(empty.min() == 0);
  CHECK(empty.max() == 0);
  CHECK(empty.value_at(0.5) == 0);
  CHECK(empty.mean() == 0.0);
  CHECK(empty.standard_deviation() == 0.0);
  CHECK(empty.count_up_to(HistogramCells::value_max) == 0);
}

TEST_CASE("histogram: the rank of a quantile is the smallest that reaches its share",
          "[base][histogram]") {
  CHECK(rank_of(0.5, 1) == 1);
  CHECK(rank_of(0.5, 2) == 1);
  CHECK(rank_of(0.5, 3) == 2);
  CHECK(rank_of(0.999, 3'000) == 2'997);
  CHECK(rank_of(0.999, 3'001) == 2'998);
  CHECK(rank_of(0.99, 100) == 99);
  CHECK(rank_of(0.0, 100) == 1);
  CHECK(rank_of(1.0, 100) == 100);
  CHECK(rank_of(1.0, 0) == 0);
  for (std::uint64_t n = 1; n < 3'000; n += 7) REQUIRE(rank_of(0.29, n * 100) == n * 29);
}

TEST_CASE("histogram: quantiles are within 1 % of those of the sorted values, never below",
          "[base][histogram]") {
  const std::uint64_t seed = 20'231;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> spread(11.0, 2.5);
  Histogram histogram;
  std::vector<std::uint64_t> values(50'000);
  double sum = 0.0;
  for (std::uint64_t& value : values) {
    value = static_cast<std::uint64_t>(spread(random));
    sum += static_cast<double>(value);
    histogram.record(value);
  }
  std::sort(values.begin(), values.end());
  CHECK(histogram.total() == values.size());
  CHECK(histogram.min() == values.front());
  CHECK(histogram.max() == values.back());
  CHECK(histogram.value_at(0.0) == values.front());
  CHECK(histogram.value_at(1.0) == values.back());
  const double mean = sum / static_cast<double>(values.size());
  CHECK(std::abs(histogram.mean() - mean) < 0.005 * mean);
  for (const double quantile : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
    CAPTURE(quantile);
    const std::uint64_t exact = values[rank_of(quantile, values.size()) - 1];
    const std::uint64_t read = histogram.value_at(quantile);
    CHECK(read >= exact);
    CHECK(static_cast<double>(read) <= 1.01 * static_cast<double>(exact));
    CHECK(histogram.count_up_to(read) >= rank_of(quantile, values.size()));
  }
}

TEST_CASE("histogram: values beyond the last cell are kept as the largest and counted as clipped",
          "[base][histogram]") {
  Histogram histogram;
  histogram.record(HistogramCells::value_max);
  CHECK(histogram.clipped() == 0);
  histogram.record(HistogramCells::value_max + 1);
  histogram.record_many(UINT64_MAX, 3);
  CHECK(histogram.clipped() == 4);
  CHECK(histogram.total() == 5);
  CHECK(histogram.max() == HistogramCells::value_max);
  histogram.clear();
  CHECK(histogram.clipped() == 0);
  CHECK(histogram.total() == 0);
  histogram.record(7);
  CHECK(histogram.min() == 7);
  CHECK(histogram.max() == 7);
}

TEST_CASE("histogram: merging is the same as recording everything into one", "[base][histogram]") {
  std::mt19937_64 random(7);
  Histogram left;
  Histogram right;
  Histogram both;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random() >> (random() % 40 + 22);
    (i % 3 == 0 ? left : right).record(value);
    both.record(value);
  }
  const Histogram right_alone = right;
  left.merge(right);
  CHECK(left.total() == both.total());
  CHECK(left.min() == both.min());
  CHECK(left.max() == both.max());
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    REQUIRE(left.count_in(cell) == both.count_in(cell));
    REQUIRE(right.count_in(cell) == right_alone.count_in(cell));
  }
  Histogram copy;
  copy = left;
  left.record(1);
  CHECK(copy.total() + 1 == left.total());
}

TEST_CASE("histogram: counts by cell widen the minimum and the maximum to the ends of the cell",
          "[base][histogram]") {
  Histogram histogram;
  histogram.add_cell(HistogramCells::cell_of(100'000), 0);
  CHECK(histogram.max() == 0);
  histogram.add_cell(HistogramCells::cell_of(100'000), 5);
  CHECK(histogram.total() == 5);
  CHECK(histogram.min() == HistogramCells::low(HistogramCells::cell_of(100'000)));
  CHECK(histogram.max() == HistogramCells::high(HistogramCells::cell_of(100'000)));
}

TEST_CASE("histogram: intervals taken while others record add up to everything recorded",
          "[base][histogram]") {
  constexpr std::uint64_t kEach = VECSERVE_SANITIZED ? 20'000 : 300'000;
  constexpr std::uint64_t kThreads = 3;
  SharedHistogram shared;
  std::atomic<std::uint64_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < kEach; ++i) shared.record(i % 1000 + thread * 1'000'000);
      running.fetch_sub(1);
    });
  }
  Histogram sum;
  Histogram interval;
  while (running.load() > 0) {
    shared.take_interval(interval);
    sum.merge(interval);
  }
  for (std::thread& thread : threads) thread.join();
  shared.take_interval(interval);
  sum.merge(interval);
  Histogram all;
  shared.read(all);
  CHECK(all.total() == kThreads * kEach);
  CHECK(sum.total() == all.total());
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    REQUIRE(sum.count_in(cell) == all.count_in(cell));
  }
  shared.take_interval(interval);
  CHECK(interval.total() == 0);
  shared.record(UINT64_MAX);
  shared.take_interval(interval);
  CHECK(interval.total() == 1);
  CHECK(interval.max() == HistogramCells::value_max);
}

}  // namespace
