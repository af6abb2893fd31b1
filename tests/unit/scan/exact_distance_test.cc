// Checks engine/scan/exact_distance: the same bits as the reference for every shape, dimension and
// kind of data, for each table of sums that the machine has. Seeded; single-threaded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include "engine/scan/exact_distance.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "engine/scan/kernels_exact.h"
#include "engine/scan/reference.h"
#include "tests/support/data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

std::uint64_t bits_of(double value) {
  return std::bit_cast<std::uint64_t>(value);
}

std::vector<const ExactSums*> tables_here() {
  std::vector<const ExactSums*> tables;
#if defined(__x86_64__)
  for (const ExactSums* table : {&kAvx512ExactSums, &kAvx2ExactSums}) {
    if (table->supported()) tables.push_back(table);
  }
#endif
  return tables;
}

}  // namespace

TEST_CASE("exact distance: the bits are the reference's, whatever the shape and the data",
          "[scan]") {
  constexpr std::uint64_t kSeed = 991;
  for (const std::uint32_t dim : awkward_dims()) {
    for (const RowShape& shape : all_shapes(dim)) {
      for (const DataKind kind : all_data_kinds()) {
        CAPTURE(kSeed, dim, to_string(shape.metric), to_string(shape.type), to_string(kind));
        VectorSource source(shape, kind, kSeed);
        const TestQuery query(shape, source.next_row());
        std::vector<std::vector<std::byte>> rows;
        std::vector<const std::byte*> at;
        for (std::uint32_t i = 0; i < kDistancesAtOnce; ++i) rows.push_back(source.next_row());
        for (const auto& row : rows) at.push_back(row.data());
        for (std::uint32_t count = 0; count <= kDistancesAtOnce; ++count) {
          std::vector<double> distances(kDistancesAtOnce, -1.0);
          const std::byte* const* const next = count % 2 == 0 ? at.data() : nullptr;
          exact_distances(shape, query.vector(), at.data(), count, next, distances.data());
          for (std::uint32_t i = 0; i < kDistancesAtOnce; ++i) {
            const double expected =
                i < count ? reference_distance(shape, query.vector(), at[i]) : -1.0;
            REQUIRE(bits_of(distances[i]) == bits_of(expected));
          }
        }
      }
    }
  }
}

TEST_CASE("exact distance: each table of sums gives the reference's bits", "[scan]") {
  constexpr std::uint64_t kSeed = 4'711;
  for (const ExactSums* table : tables_here()) {
    for (std::uint32_t dim = 1; dim <= 70; ++dim) {
      const auto shape_of = [dim](Metric metric) {
        return RowShape::make(metric, ScalarType::f32, dim);
      };
      VectorSource source(shape_of(Metric::l2), DataKind::normal, kSeed + dim);
      const std::vector<std::byte> q = source.next_row();
      std::vector<float> query(dim);
      std::memcpy(query.data(), q.data(), dim * sizeof(float));
      std::vector<std::vector<std::byte>> rows;
      std::vector<const std::byte*> at;
      for (std::uint32_t i = 0; i < kExactRows; ++i) rows.push_back(source.next_row());
      for (const auto& row : rows) at.push_back(row.data());
      for (std::uint32_t count = 1; count <= kExactRows; ++count) {
        double sums[4][kExactRows];
        const std::byte* const* const next = count % 2 == 0 ? at.data() : nullptr;
        table->square(query.data(), at.data(), count, dim, next, sums[0]);
        table->product(query.data(), at.data(), count, dim, next, sums[1]);
        table->absolute(query.data(), at.data(), count, dim, next, sums[2]);
        table->own(query.data(), at.data(), count, dim, next, sums[3]);
        for (std::uint32_t i = 0; i < count; ++i) {
          CAPTURE(kSeed, dim, count, i);
          const auto* const own = reinterpret_cast<const float*>(at[i]);
          CHECK(bits_of(sums[0][i]) ==
                bits_of(reference_distance(shape_of(Metric::l2), query.data(), at[i])));
          CHECK(bits_of(0.0 - sums[1][i]) ==
                bits_of(reference_distance(shape_of(Metric::dot), query.data(), at[i])));
          CHECK(bits_of(sums[2][i]) ==
                bits_of(reference_distance(shape_of(Metric::l1), query.data(), at[i])));
          CHECK(bits_of(0.0 - sums[3][i]) ==
                bits_of(reference_distance(shape_of(Metric::dot), own, at[i])));
        }
      }
    }
  }
}
