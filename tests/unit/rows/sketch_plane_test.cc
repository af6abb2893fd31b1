// Checks engine/rows/sketch_plane: where codes and numbers lie, what they say of a row, rows that
// cannot be served, and counts that do not fill a stripe. Single-threaded. Bounds over all kinds of
// data are in tests/conformance/sketch_kernels_test.cc.
// Always holds: the axes are coordinates, so that codes can be worked out by hand.
#include "engine/rows/sketch_plane.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr std::uint32_t kDim = 200;  // 48 axes: a second stripe of 32

std::shared_ptr<const SketchAxes> coordinates(const RowShape& shape) {
  const std::uint32_t count = SketchAxes::count_for(shape);
  std::vector<float> axes(std::size_t{count} * shape.dim, 0.0f);
  for (std::uint32_t a = 0; a < count; ++a) axes[std::size_t{a} * shape.dim + a] = 1.0f;
  return std::make_shared<const SketchAxes>(shape, count, std::vector<float>(shape.dim, 0.0f),
                                            std::move(axes), std::vector<float>(count, 0.5f), 0.0);
}

void append(RowBlock& block, std::uint64_t slot, const std::vector<float>& vector) {
  block.append(slot, IdView(slot), reinterpret_cast<const std::byte*>(vector.data()), 0);
}

float fine_number(const SketchPlane& plane, std::uint32_t row, std::uint32_t which) {
  float number;
  std::memcpy(&number,
              plane.fine() + std::size_t{row} * plane.fine_stride() + plane.fine_codes() +
                  which * sizeof(float),
              sizeof(number));
  return number;
}

TEST_CASE("sketch plane: codes, and numbers that say what they leave out", "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  RowBlock block(shape);
  for (std::uint32_t r = 0; r < 18; ++r) {
    std::vector<float> vector(kDim, 0.0f);
    vector[5] = 3.0f;    // code 6 along axis 5 of the first stripe
    vector[20] = -1.0f;  // code -2 along axis 4 of the second
    vector[150] = static_cast<float>(r);
    append(block, r, vector);
  }
  const SketchPlane plane(coordinates(shape), block, 18);
  CHECK(plane.count() == 18);
  CHECK(plane.fine_codes() == 32);
  CHECK(plane.fine_stride() == 64);
  for (std::uint32_t r = 0; r < 18; ++r) {
    CAPTURE(r);
    const std::uint8_t* const stripe = plane.first() + r / 16 * 256;
    CHECK(stripe[1 * 64 + r % 16 * 4 + 1] == 134);
    CHECK(stripe[0 * 64 + r % 16 * 4 + 1] == 128);
    CHECK(plane.fine()[r * 64 + 4] == 126);
    const auto far = static_cast<float>(r);
    CHECK(plane.bases()[r] == Approx(9.0f + 1.0f + far * far));
    CHECK(plane.lefts()[r] == Approx(std::sqrt(1.0f + far * far)));
    CHECK(plane.reaches()[r] < 0.01f);
    CHECK(fine_number(plane, r, 0) == Approx(10.0f + far * far));
    CHECK(fine_number(plane, r, 1) == Approx(far).margin(0.01));
    CHECK(fine_number(plane, r, 2) < 0.1f);
  }
}

TEST_CASE("sketch plane: what is beyond 127 steps or between two is in the reach", "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  RowBlock block(shape);
  std::vector<float> vector(kDim, 0.0f);
  vector[0] = 100.0f;  // 63.5 is as far as codes go
  vector[1] = 0.25f;
  append(block, 0, vector);
  const SketchPlane plane(coordinates(shape), block, 1);
  CHECK(plane.first()[0] == 255);
  CHECK(plane.reaches()[0] >= 36.5f);
  CHECK(plane.reaches()[0] <= 36.6f);
}

TEST_CASE("sketch plane: rows beyond floats, and those that fill up a stripe, are never ruled out",
          "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  RowBlock block(shape);
  append(block, 0, std::vector<float>(kDim, 1e25f));
  append(block, 1, std::vector<float>(kDim, 1.0f));
  const SketchPlane plane(coordinates(shape), block, 2);
  for (std::uint32_t r = 0; r < 16; ++r) {
    const bool served = r == 1;
    CHECK(std::isinf(plane.reaches()[r]) != served);
    CHECK(std::isinf(fine_number(plane, r, 2)) != served);
    if (!served) CHECK(plane.bases()[r] == 0.0f);
  }
}

TEST_CASE("sketch plane: sixteen axes have no second stripe, and no rows take no room",
          "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 64);
  RowBlock block(shape);
  const SketchPlane none(coordinates(shape), block, 0);
  CHECK(none.bytes() == 0);
  append(block, 0, std::vector<float>(64, 1.0f));
  const SketchPlane plane(coordinates(shape), block, 1);
  CHECK(plane.fine_codes() == 0);
  CHECK(plane.fine_stride() == 0);
  CHECK(plane.bytes() >= 16 * (16 + 3 * sizeof(float)));
}

}  // namespace
