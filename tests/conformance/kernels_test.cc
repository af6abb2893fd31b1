// One suite over every kernel table that this machine can run: the lower bound made from each sum
// must never be above the reference distance, whatever the data, and must be near it on ordinary
// data. Single-threaded, seeded. Always holds: a table that cannot run here is named, not passed
// over.
#include "engine/scan/kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <limits>

#include "engine/scan/bounds.h"
#include "engine/scan/reference.h"
#include "tests/support/data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

std::vector<const KernelTable*> tables_here() {
  std::vector<const KernelTable*> tables{&generic_kernels()};
  for (const KernelTable* table : highway_kernels()) {
    if (table->supported()) {
      tables.push_back(table);
    } else {
      std::printf("kernels that this machine cannot run: %s\n", table->name);
    }
  }
  return tables;
}

// Rows and queries of one shape and kind, tightly in one tile.
struct Tile {
  Tile(const RowShape& shape_in, DataKind kind, std::uint32_t row_count, std::uint32_t query_count,
       std::uint64_t seed)
      : shape(shape_in), rows(shape_in) {
    VectorSource source(shape, kind, seed);
    for (std::uint32_t r = 0; r < row_count; ++r) rows.add(source.next_row(), IdView(r), 0);
    block = rows.scan_blocks().at(0);
    for (std::uint32_t q = 0; q < query_count; ++q) {
      // Every other query is a point of its own, the rest lie on or near a row.
      const std::byte* row = block.block->vector(q % row_count);
      const std::vector<std::byte> stored(row, row + shape.row_bytes);
      queries.emplace_back(shape, q % 2 == 0 ? source.next_row() : stored,
                           q % 4 == 1 ? 1e-6f : 0.0f);
    }
    for (const TestQuery& query : queries) {
      floats.push_back(query.view().f32);
      bits.push_back(query.view().bits);
    }
  }

  // Lower bounds (exact distances for bits) of every query and row, as the scanner makes them.
  std::vector<float> bounds(const KernelTable& table) const {
    const auto query_count = static_cast<std::uint32_t>(queries.size());
    std::vector<float> sums(queries.size() * kTileRows, std::numeric_limits<float>::quiet_NaN());
    if (shape.type == ScalarType::bit) {
      std::vector<std::uint32_t> counts(sums.size(), 77'777);
      table.hamming({bits.data(), block.block->vectors(), counts.data(), shape.stride, query_count,
                     block.count, (shape.row_bytes + 7) / 8});
      std::transform(counts.begin(), counts.end(), sums.begin(),
                     [](std::uint32_t count) { return static_cast<float>(count); });
      return sums;
    }
    float_kernel(table, shape.metric,
                 shape.type)({floats.data(), block.block->vectors(), sums.data(), shape.stride,
                              query_count, block.count, shape.dim});
    for (std::uint32_t q = 0; q < query_count; ++q) {
      const ScoreBound bound = make_bound(shape, table, queries[q].view().norm);
      lower_bounds(bound, block.block->norms(), block.count, &sums[q * kTileRows]);
    }
    return sums;
  }

  double distance(std::uint32_t q, std::uint32_t r) const {
    return reference_distance(shape, queries[q].vector(), block.block->vector(r));
  }

  RowShape shape;
  TestRows rows;
  ScanBlock block;
  std::vector<TestQuery> queries;
  std::vector<const float*> floats;
  std::vector<const std::uint64_t*> bits;
};

TEST_CASE("kernels: no lower bound is above the reference distance, on any data", "[kernels]") {
  const auto tables = tables_here();
  for (const std::uint32_t dim : awkward_dims()) {
    for (const RowShape& shape : all_shapes(dim)) {
      for (const DataKind kind : all_data_kinds()) {
        const std::uint64_t seed = dim * 31 + static_cast<std::uint64_t>(kind);
        const Tile tile(shape, kind, 13, 7, seed);
        for (const KernelTable* table : tables) {
          const std::vector<float> lower = tile.bounds(*table);
          for (std::uint32_t q = 0; q < 7; ++q) {
            for (std::uint32_t r = 0; r < 13; ++r) {
              const auto bound = static_cast<double>(lower[q * kTileRows + r]);
              const double distance = tile.distance(q, r);
              if (bound <= distance) continue;
              CAPTURE(table->name, to_string(shape.metric), to_string(shape.type), dim,
                      to_string(kind), seed, q, r, bound, distance);
              REQUIRE(bound <= distance);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("kernels: on ordinary data the bound is within 1e-4 of the distance", "[kernels]") {
  for (const KernelTable* table : tables_here()) {
    for (const std::uint32_t dim : awkward_dims()) {
      for (const RowShape& shape : all_shapes(dim)) {
        CAPTURE(table->name, to_string(shape.metric), to_string(shape.type), dim);
        const Tile tile(shape, DataKind::normal, 9, 5, 5);
        const std::vector<float> lower = tile.bounds(*table);
        for (std::uint32_t q = 0; q < 5; ++q) {
          for (std::uint32_t r = 0; r < 9; ++r) {
            const double distance = tile.distance(q, r);
            double scale = std::max(1.0, std::fabs(distance));
            if (shape.metric == Metric::dot) {
              scale =
                  tile.queries[q].view().norm * static_cast<double>(tile.block.block->norms()[r]);
            }
            const auto bound = static_cast<double>(lower[q * kTileRows + r]);
            REQUIRE(distance - bound <= 1e-4 * scale + 1e-30);
          }
        }
      }
    }
  }
}

TEST_CASE("kernels: every count of rows and queries writes its own places and no other",
          "[kernels]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 17);
  for (const KernelTable* table : tables_here()) {
    for (std::uint32_t row_count = 1; row_count <= 13; ++row_count) {
      for (std::uint32_t query_count = 1; query_count <= 9; ++query_count) {
        CAPTURE(table->name, row_count, query_count);
        const Tile tile(shape, DataKind::normal, row_count, query_count, 9);
        const std::vector<float> lower = tile.bounds(*table);
        for (std::uint32_t q = 0; q < query_count; ++q) {
          for (std::uint32_t r = 0; r < kTileRows; ++r) {
            const float bound = lower[q * kTileRows + r];
            if (r >= row_count) {
              REQUIRE(std::isnan(bound));
            } else {
              REQUIRE(tile.distance(q, r) - static_cast<double>(bound) <=
                      1e-4 * tile.distance(q, r) + 1e-30);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("kernels: hamming is exact on all tables", "[kernels]") {
  for (const KernelTable* table : tables_here()) {
    for (const std::uint32_t dim : {1u, 8u, 63u, 64u, 65u, 511u, 512u, 513u, 4096u, 65'536u}) {
      CAPTURE(table->name, dim);
      const Tile tile(RowShape::make(Metric::hamming, ScalarType::bit, dim), DataKind::normal, 6, 3,
                      dim);
      const std::vector<float> counts = tile.bounds(*table);
      for (std::uint32_t q = 0; q < 3; ++q) {
        for (std::uint32_t r = 0; r < 6; ++r) {
          REQUIRE(static_cast<double>(counts[q * kTileRows + r]) == tile.distance(q, r));
        }
      }
    }
  }
}

TEST_CASE("kernels: the largest dimension keeps its bounds", "[kernels]") {
  for (const RowShape& shape : all_shapes(65'536)) {
    const Tile tile(shape, DataKind::normal, 3, 2, 1);
    for (const KernelTable* table : tables_here()) {
      const std::vector<float> lower = tile.bounds(*table);
      CAPTURE(table->name, to_string(shape.metric), to_string(shape.type));
      for (std::uint32_t r = 0; r < 3; ++r) {
        REQUIRE(static_cast<double>(lower[r]) <= tile.distance(0, r));
      }
    }
  }
}

}  // namespace
