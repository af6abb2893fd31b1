// Checks engine/scan/coarse_bounds: over ordinary and adversarial rows the reference distance lies
// between the bounds made from the exact score, and a threshold's reach rules out nothing within
// it. Single-threaded, seeded.
#include "engine/scan/coarse_bounds.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "engine/scan/reference.h"
#include "tests/support/data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

// The score as the kernels define it, in doubles, rounded to a float.
float score_of(const CoarsePlane& plane, std::uint32_t row, const CoarseProbe& probe,
               const std::vector<std::int8_t>& codes, Metric metric) {
  std::int64_t dot = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    dot += (plane.codes()[std::size_t{row} * plane.stride() + i] - 128) * codes[i];
  }
  const double product = static_cast<double>(probe.limit.scale) *
                         static_cast<double>(plane.scales()[row]) * static_cast<double>(dot);
  if (metric != Metric::l2) return static_cast<float>(-product);
  return static_cast<float>(static_cast<double>(plane.squares()[row]) +
                            static_cast<double>(probe.limit.square) - product);
}

}  // namespace

TEST_CASE("coarse bounds: the reference distance lies between them", "[scan]") {
  int served = 0;
  for (const std::uint32_t dim : {1u, 3u, 17u, 128u, 300u}) {
    for (const RowShape& shape : all_shapes(dim)) {
      if (!CoarsePlane::serves(shape)) continue;
      for (const DataKind kind : all_data_kinds()) {
        CAPTURE(dim, to_string(shape.metric), to_string(shape.type), to_string(kind));
        VectorSource source(shape, kind, dim + 5);
        CoarsePlane plane(shape);
        std::vector<std::vector<std::byte>> rows;
        for (std::uint32_t r = 0; r < 12; ++r) {
          rows.push_back(source.next_row());
          plane.set(r, rows.back().data());
        }
        const TestQuery query(shape, source.next_row());
        std::vector<std::int8_t> codes(dim);
        const CoarseQuery coarse =
            make_coarse_query(shape.metric, query.view().f32, dim, codes.data());
        if (!coarse.served) continue;
        ++served;
        const CoarseProbe probe = make_probe(shape.metric, coarse);
        for (std::uint32_t r = 0; r < rows.size(); ++r) {
          const double truth = reference_distance(shape, query.vector(), rows[r].data());
          const DistanceBounds bounds =
              bounds_of(probe, plane, r, score_of(plane, r, probe, codes, shape.metric));
          REQUIRE(static_cast<double>(bounds.lower) <= truth);
          REQUIRE(static_cast<double>(bounds.upper) >= truth);
        }
      }
    }
  }
  CHECK(served > 200);
}

TEST_CASE("coarse bounds: those of some rows are those of each, to the bit, by every table",
          "[scan]") {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr std::uint32_t kRows = 90;
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    const RowShape shape = RowShape::make(metric, ScalarType::f32, 20);
    for (const DataKind kind : all_data_kinds()) {
      VectorSource source(shape, kind, 8);
      CoarsePlane plane(shape);
      for (std::uint32_t r = 0; r < kRows; ++r) plane.set(r, source.next_row().data());
      const TestQuery query(shape, source.next_row());
      std::vector<std::int8_t> codes(20);
      const CoarseQuery coarse = make_coarse_query(metric, query.view().f32, 20, codes.data());
      if (!coarse.served) continue;
      const CoarseProbe probe = make_probe(metric, coarse);
      std::vector<Survivor> survivors;
      for (std::uint32_t r = 3; r < kRows; r += 1 + r % 3) {
        survivors.push_back({r - 3, score_of(plane, r, probe, codes, metric)});
      }
      REQUIRE(survivors.size() <= DistanceBoundsOfSome::kCount);
      survivors[1].score = std::numeric_limits<float>::quiet_NaN();
      survivors[5].score = kInf;
      survivors[9].score = -kInf;
      survivors[11].score = 0.0f;
      for (const CoarseKernels* kernels : coarse_kernel_tables()) {
        if (!kernels->supported()) continue;
        for (const std::size_t count : {std::size_t{1}, std::size_t{8}, survivors.size()}) {
          CAPTURE(kernels->name, to_string(metric), to_string(kind), count);
          DistanceBoundsOfSome some;
          bounds_of_some(*kernels, probe, plane, 3, std::span(survivors).first(count), some);
          for (std::size_t i = 0; i < count; ++i) {
            const DistanceBounds one =
                bounds_of(probe, plane, 3 + survivors[i].row, survivors[i].score);
            CAPTURE(i);
            REQUIRE(some.lower[i] == one.lower);
            REQUIRE(some.upper[i] == one.upper);
          }
        }
      }
    }
  }
}

TEST_CASE("coarse bounds: they are tight for ordinary rows", "[scan]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 128);
  VectorSource source(shape, DataKind::normal, 4);
  CoarsePlane plane(shape);
  const std::vector<std::byte> row = source.next_row();
  plane.set(0, row.data());
  const TestQuery query(shape, source.next_row());
  std::vector<std::int8_t> codes(128);
  const CoarseProbe probe = make_probe(
      shape.metric, make_coarse_query(shape.metric, query.view().f32, 128, codes.data()));
  const DistanceBounds bounds =
      bounds_of(probe, plane, 0, score_of(plane, 0, probe, codes, shape.metric));
  const double truth = reference_distance(shape, query.vector(), row.data());
  CHECK(static_cast<double>(bounds.upper - bounds.lower) < 0.1 * truth);
}

TEST_CASE("coarse bounds: a score that is not finite proves nothing", "[scan]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 4);
  CoarsePlane plane(shape);
  const float row[4] = {1, 2, 3, 4};
  plane.set(0, reinterpret_cast<const std::byte*>(row));
  std::int8_t codes[4];
  const CoarseProbe probe = make_probe(Metric::l2, make_coarse_query(Metric::l2, row, 4, codes));
  const DistanceBounds bounds = bounds_of(probe, plane, 0, std::numeric_limits<float>::quiet_NaN());
  CHECK(bounds.lower == -std::numeric_limits<float>::infinity());
  CHECK(bounds.upper == std::numeric_limits<float>::infinity());
}

TEST_CASE("coarse bounds: the reach of an infinite threshold is infinite", "[scan]") {
  const float query[4] = {1, 2, 3, 4};
  std::int8_t codes[4];
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    const CoarseProbe probe = make_probe(metric, make_coarse_query(metric, query, 4, codes));
    CHECK(std::isinf(reach_of(probe, std::numeric_limits<float>::infinity())));
    CHECK(std::isfinite(reach_of(probe, 1.0f)));
    CHECK(reach_of(probe, 2.0f) > reach_of(probe, 1.0f));
  }
}
