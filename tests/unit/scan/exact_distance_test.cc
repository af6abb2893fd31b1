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
        for (int i = 0; i < 3; ++i) {
          const TestQuery query(shape, source.next_row());
          const std::vector<std::byte> row = source.next_row();
          REQUIRE(bits_of(exact_distance(shape, query.vector(), row.data())) ==
                  bits_of(reference_distance(shape, query.vector(), row.data())));
        }
      }
    }
  }
}

TEST_CASE("exact distance: each table of sums gives the reference's bits", "[scan]") {
  constexpr std::uint64_t kSeed = 4'711;
  for (const ExactSums* table : tables_here()) {
    for (std::uint32_t dim = 1; dim <= 70; ++dim) {
      CAPTURE(kSeed, dim);
      const auto shape_of = [dim](Metric metric) {
        return RowShape::make(metric, ScalarType::f32, dim);
      };
      VectorSource source(shape_of(Metric::l2), DataKind::normal, kSeed + dim);
      const std::vector<std::byte> q = source.next_row();
      const std::vector<std::byte> x = source.next_row();
      std::vector<float> query(dim);
      std::memcpy(query.data(), q.data(), dim * sizeof(float));
      CHECK(bits_of(table->square(query.data(), x.data(), dim)) ==
            bits_of(reference_distance(shape_of(Metric::l2), query.data(), x.data())));
      CHECK(bits_of(0.0 - table->product(query.data(), x.data(), dim)) ==
            bits_of(reference_distance(shape_of(Metric::dot), query.data(), x.data())));
      CHECK(bits_of(table->absolute(query.data(), x.data(), dim)) ==
            bits_of(reference_distance(shape_of(Metric::l1), query.data(), x.data())));
    }
  }
}
