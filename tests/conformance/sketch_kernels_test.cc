// Holds the sketch and its kernels to their promise over every metric, type and kind of data: no
// row is turned away while the threshold is at least its distance, and every table lets the same
// rows pass. Seeded, the test's thread. Always holds: distances are the reference's own.
#include "engine/scan/sketch_kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "engine/scan/reference.h"
#include "engine/scan/sketch_bounds.h"
#include "tests/support/data.h"
#include "tests/support/oracle.h"
#include "tests/support/sketches.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Data {
  Data(RowShape shape, DataKind kind, std::uint32_t count, std::uint64_t seed)
      : rows((shape.coarse = true, shape)) {
    VectorSource source(shape, kind, seed);
    for (std::uint32_t r = 0; r < count; ++r) {
      stored.push_back(source.next_row());
      rows.add(stored.back(), IdView(std::uint64_t{r}), count);
    }
    blocks = rows.scan_blocks();
    const auto axes = sketch_axes(rows.shape(), blocks);
    plane = std::make_shared<const SketchPlane>(axes, *blocks[0].block, count);
    bits.assign((count + 63) / 64, ~std::uint64_t{0});
    for (std::uint32_t q = 0; q < 4; ++q) {
      queries.emplace_back(rows.shape(), q % 2 == 0 ? stored[q * 31 % count] : source.next_row(),
                           q == 2 ? 1e-6f : 0.0f);
    }
  }

  SketchRows all() const {
    SketchRows view;
    view.first = plane->first();
    view.bases = plane->bases();
    view.lefts = plane->lefts();
    view.reaches = plane->reaches();
    view.fine = plane->fine();
    view.fine_codes = plane->fine_codes();
    view.fine_stride = plane->fine_stride();
    view.eligible = bits.data();
    view.count = blocks[0].count;
    return view;
  }

  bool prepare(std::size_t q, SketchQuery& query) const {
    std::vector<float> scratch(plane->axes().scratch_floats());
    const ScanQuery view = queries[q].view();
    make_sketch_query(plane->axes(), view.f32, view.norm, scratch.data(), query);
    return query.served;
  }

  std::vector<std::vector<std::byte>> stored;
  TestRows rows;
  std::vector<ScanBlock> blocks;
  std::shared_ptr<const SketchPlane> plane;
  std::vector<std::uint64_t> bits;
  std::vector<TestQuery> queries;
};

std::vector<RowShape> shapes(std::uint32_t dim) {
  std::vector<RowShape> served;
  for (const RowShape& shape : all_shapes(dim)) {
    if (SketchAxes::serves(shape)) served.push_back(shape);
  }
  return served;
}

float not_below(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) >= value
             ? rounded
             : std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

// The rows that pass, by number, with their bounds.
using Passed = std::map<std::uint32_t, float>;

Passed sift(const SketchKernels& table, const SketchRows& rows, const SketchQuery& query,
            SketchReach reach, std::uint32_t& first) {
  std::vector<SketchSurvivor> out(rows.count);
  const SketchCount count = table.sift(rows, query.probe, reach, out.data());
  first = count.first;
  Passed passed;
  for (std::uint32_t i = 0; i < count.all; ++i) {
    REQUIRE(out[i].row < rows.count);
    REQUIRE((i == 0 || out[i - 1].row < out[i].row));
    passed[out[i].row] = out[i].bound;
  }
  return passed;
}

struct Measured {
  explicit Measured(std::uint32_t count) : bounds(count + 16), least(count / 64 + 1) {}
  void by(const SketchKernels& table, const SketchRows& rows, const SketchQuery& query) {
    table.measure(rows, query.probe, bounds.data(), least.data());
  }
  std::vector<float> bounds;
  std::vector<float> least;
};

TEST_CASE("sketch: no row within the threshold is turned away, on any data", "[sketch]") {
  for (const std::uint32_t dim : {64u, 100u, 131u, 260u}) {
    for (const RowShape& shape : shapes(dim)) {
      for (const DataKind kind : all_data_kinds()) {
        const std::uint64_t seed = dim * 10 + static_cast<std::uint64_t>(kind);
        CAPTURE(dim, to_string(shape.metric), to_string(shape.type), to_string(kind), seed);
        const Data data(shape, kind, 300, seed);
        for (std::size_t q = 0; q < data.queries.size(); ++q) {
          SketchQuery query;
          if (!data.prepare(q, query)) continue;
          const ScanQuery view = data.queries[q].view();
          std::vector<std::uint64_t> live((300 + 63) / 64, ~std::uint64_t{0});
          live.back() = (std::uint64_t{1} << (300 % 64)) - 1;
          const std::vector<std::vector<std::uint64_t>> words{live};
          const auto truth =
              oracle_rows(data.rows.shape(), data.blocks, make_mask(words), view.f32);
          REQUIRE(truth.size() == 300);
          for (const std::size_t rank : {0u, 1u, 9u, 150u, 299u}) {
            const SketchReach reach = reach_of(query, not_below(truth[rank].distance));
            for (const SketchKernels* table : sketch_kernel_tables()) {
              if (!table->supported()) continue;
              CAPTURE(table->name, q, rank);
              Measured measured(300);
              measured.by(*table, data.all(), query);
              std::uint32_t first = 0;
              const Passed passed = sift(*table, data.all(), query, reach, first);
              for (std::size_t i = 0; i <= rank; ++i) {
                REQUIRE(measured.bounds[truth[i].position] <= reach.first);
              }
              for (std::size_t i = 0; i <= rank; ++i) {
                const auto found = passed.find(truth[i].position);
                REQUIRE(found != passed.end());
                REQUIRE(found->second <= reach.all);
              }
              REQUIRE(first >= rank + 1);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("sketch: every table measures as the portable one, and lets the same rows pass",
          "[sketch]") {
  const SketchKernels& portable = *sketch_kernel_tables().back();
  for (const std::uint32_t dim : {64u, 131u, 200u, 260u}) {
    for (const RowShape& shape : shapes(dim)) {
      for (const std::uint32_t count : {300u, 301u, 335u}) {
        const Data data(shape, DataKind::normal, count, 7);
        CAPTURE(dim, to_string(shape.metric), to_string(shape.type), count);
        Measured expected(count);
        Measured measured(count);
        for (std::size_t q = 0; q < data.queries.size(); ++q) {
          SketchQuery query;
          REQUIRE(data.prepare(q, query));
          expected.by(portable, data.all(), query);
          // The median of the bounds as a reach: half of the rows pass the first stripe.
          std::vector<float> sorted(expected.bounds.begin(), expected.bounds.begin() + count);
          std::sort(sorted.begin(), sorted.end());
          const float middle = std::max(sorted[count / 2], 0.0f);
          const SketchReach reach{middle, middle};
          std::uint32_t wanted = 0;
          const Passed wanted_rows = sift(portable, data.all(), query, reach, wanted);
          REQUIRE(wanted >= count / 2);
          for (const SketchKernels* table : sketch_kernel_tables()) {
            if (!table->supported()) continue;
            CAPTURE(table->name, q);
            measured.by(*table, data.all(), query);
            for (std::uint32_t r = 0; r < count; ++r) {
              const float size = data.plane->bases()[r] + std::fabs(query.probe.first.base);
              const float square = measured.bounds[r] + data.plane->reaches()[r];
              const float other = expected.bounds[r] + data.plane->reaches()[r];
              REQUIRE(std::fabs(square * square - other * other) <= kScoreError * size);
            }
            for (std::uint32_t w = 0; w * 64 < count; ++w) {
              float least = std::numeric_limits<float>::infinity();
              for (std::uint32_t r = w * 64; r < std::min(count, w * 64 + 64); ++r) {
                least = std::min(least, measured.bounds[r]);
              }
              REQUIRE(measured.least[w] == least);
            }
            std::uint32_t first = 0;
            const Passed passed = sift(*table, data.all(), query, reach, first);
            // Sums round in another order: a row on the border may go either way.
            REQUIRE(first + 2 >= wanted);
            REQUIRE(first <= wanted + 2);
            std::uint32_t different = 0;
            for (const auto& [row, bound] : passed) {
              const auto same = wanted_rows.find(row);
              if (same == wanted_rows.end()) {
                ++different;
              } else {
                REQUIRE(bound == Approx(same->second).margin(1e-3 * (1.0 + std::fabs(middle))));
              }
            }
            for (const auto& [row, bound] : wanted_rows) different += passed.count(row) == 0;
            REQUIRE(different <= 2);
          }
        }
      }
    }
  }
}

TEST_CASE("sketch: many rows at a time pass as 64 at a time do", "[sketch]") {
  constexpr std::uint32_t kCount = 3'003;
  for (const std::uint32_t dim : {64u, 200u, 260u}) {  // with and without a second stripe
    const Data data(shapes(dim)[0], DataKind::normal, kCount, 17);
    SketchQuery query;
    REQUIRE(data.prepare(1, query));
    Measured measured(kCount);
    measured.by(*sketch_kernel_tables().back(), data.all(), query);
    std::vector<float> sorted(measured.bounds.begin(), measured.bounds.begin() + kCount);
    std::sort(sorted.begin(), sorted.end());
    for (const std::uint32_t rank : {0u, 20u, 200u, 1'500u, 2'600u, kCount - 1}) {
      const float most = std::max(sorted[rank], 0.0f);
      for (const SketchReach reach : {SketchReach{most, most}, SketchReach{most, 2 * most}}) {
        for (const SketchKernels* table : sketch_kernel_tables()) {
          if (!table->supported()) continue;
          CAPTURE(table->name, dim, rank, reach.all);
          std::uint32_t first = 0;
          const Passed passed = sift(*table, data.all(), query, reach, first);
          std::uint32_t first_expected = 0;
          Passed expected;
          for (std::uint32_t from = 0; from < kCount; from += 64) {
            SketchRows some = data.all();
            some.first += std::size_t{from} * kSketchFirst;
            some.bases += from;
            some.lefts += from;
            some.reaches += from;
            some.fine += std::size_t{from} * some.fine_stride;
            some.eligible += from / 64;
            some.count = std::min(64u, kCount - from);
            std::uint32_t here = 0;
            for (const auto& [row, bound] : sift(*table, some, query, reach, here)) {
              expected[from + row] = bound;
            }
            first_expected += here;
          }
          REQUIRE(first == first_expected);
          REQUIRE(passed == expected);
        }
      }
    }
  }
}

TEST_CASE("sketch: rows that are not eligible never pass, whatever their bits beyond the last row",
          "[sketch]") {
  const RowShape shape = shapes(128)[0];
  Data data(shape, DataKind::normal, 333, 3);
  SketchQuery query;
  REQUIRE(data.prepare(0, query));
  const SketchReach reach = reach_of(query, std::numeric_limits<float>::infinity());
  for (std::size_t w = 0; w < data.bits.size(); ++w) data.bits[w] = 0x8000000180000001u << (w % 3);
  for (const SketchKernels* table : sketch_kernel_tables()) {
    if (!table->supported()) continue;
    CAPTURE(table->name);
    std::uint32_t first = 0;
    const Passed passed = sift(*table, data.all(), query, reach, first);
    std::uint32_t eligible = 0;
    for (std::uint32_t r = 0; r < 333; ++r) {
      const bool bit = (data.bits[r / 64] >> (r % 64) & 1) != 0;
      eligible += bit ? 1u : 0u;
      REQUIRE(passed.count(r) == (bit ? 1u : 0u));
    }
    REQUIRE(first == eligible);
  }
}

TEST_CASE("sketch: rows that lie along few directions are nearly all turned away", "[sketch]") {
  // Sixteen directions carry everything, so that the sketch leaves out next to nothing.
  const std::uint32_t dim = 192;
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, dim);
  VectorSource source(RowShape::make(Metric::l2, ScalarType::f32, 16), DataKind::normal, 11);
  RowShape with_coarse = shape;
  with_coarse.coarse = true;
  TestRows rows(with_coarse);
  std::vector<std::byte> first;
  for (std::uint32_t r = 0; r < 2000; ++r) {
    const std::vector<std::byte> small = source.next_row();
    float values[16];
    std::memcpy(values, small.data(), sizeof(values));
    std::vector<float> wide(dim);
    for (std::uint32_t i = 0; i < dim; ++i) wide[i] = values[i % 16] * (i % 7 == 0 ? 2.0f : 1.0f);
    std::vector<std::byte> bytes(dim * sizeof(float));
    std::memcpy(bytes.data(), wide.data(), bytes.size());
    if (r == 0) first = bytes;
    rows.add(bytes, IdView(std::uint64_t{r}), 2000);
  }
  const std::vector<ScanBlock> blocks = rows.scan_blocks();
  const auto axes = sketch_axes(with_coarse, blocks);
  const SketchPlane plane(axes, *blocks[0].block, blocks[0].count);
  const TestQuery near(with_coarse, first, 0.01f);
  std::vector<std::vector<std::uint64_t>> words(1);
  words[0].assign(with_coarse.capacity / 64 + 1, 0);
  for (std::uint32_t r = 0; r < blocks[0].count; ++r)
    words[0][r / 64] |= std::uint64_t{1} << (r % 64);
  const auto truth =
      oracle_rows(with_coarse, std::span(blocks).first(1), make_mask(words), near.view().f32);
  SketchQuery query;
  std::vector<float> scratch(axes->scratch_floats());
  make_sketch_query(*axes, near.view().f32, near.view().norm, scratch.data(), query);
  REQUIRE(query.served);
  SketchRows view;
  view.first = plane.first();
  view.bases = plane.bases();
  view.lefts = plane.lefts();
  view.reaches = plane.reaches();
  view.fine = plane.fine();
  view.fine_codes = plane.fine_codes();
  view.fine_stride = plane.fine_stride();
  view.eligible = words[0].data();
  view.count = blocks[0].count;
  std::uint32_t first_passed = 0;
  const SketchReach reach = reach_of(query, not_below(truth[9].distance));
  const std::size_t left =
      sift(sketch_kernels_for("generic"), view, query, reach, first_passed).size();
  CHECK(left >= 10);
  CHECK(left <= first_passed);
  CHECK(left <= blocks[0].count / 20);
}

}  // namespace
