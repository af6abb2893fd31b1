// Checks engine/rows/row_shape: bytes, strides and capacities over types and dimensions.
// Single-threaded. Always holds: the rules of row_shape.h are checked for every combination.
// Part of unit_rows, which links that layer and what is below it, nothing above.
#include "engine/rows/row_shape.h"

#include <catch2/catch.hpp>

#include "engine/base/limits.h"

namespace {

using vecserve::Metric;
using vecserve::ScalarType;
using vecserve::engine::RowShape;
namespace limits = vecserve::engine::limits;

TEST_CASE("row shape: strides and capacities keep their rules for every type", "[rows]") {
  for (int type = 0; type <= 5; ++type) {
    for (const std::uint32_t dim : {1u, 3u, 15u, 16u, 17u, 127u, 128u, 1023u, 65'536u}) {
      CAPTURE(type, dim);
      const RowShape shape = RowShape::make(Metric::l2, static_cast<ScalarType>(type), dim);
      CHECK(shape.stride % 16 == 0);
      CHECK(shape.stride >= shape.row_bytes);
      CHECK(shape.stride < shape.row_bytes + 16);
      CHECK(shape.capacity % 64 == 0);
      CHECK(shape.capacity >= limits::block_rows_min);
      CHECK(shape.capacity <= limits::block_rows_max);
    }
  }
}

TEST_CASE("row shape: known sizes", "[rows]") {
  const RowShape f32 = RowShape::make(Metric::l2, ScalarType::f32, 128);
  CHECK(f32.row_bytes == 512);
  CHECK(f32.stride == 512);
  CHECK(f32.capacity == 8192);
  const RowShape wide = RowShape::make(Metric::dot, ScalarType::f32, 784);
  CHECK(wide.row_bytes == 3136);
  CHECK(wide.capacity == 1280);  // 4 MiB / 3136 = 1337, down to a multiple of 64
  const RowShape bits = RowShape::make(Metric::hamming, ScalarType::bit, 9);
  CHECK(bits.row_bytes == 2);
  CHECK(bits.stride == 16);
  const RowShape widest = RowShape::make(Metric::l2, ScalarType::f32, 65'536);
  CHECK(widest.capacity == 64);
}

}  // namespace
