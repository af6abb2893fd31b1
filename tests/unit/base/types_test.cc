// Checks vecserve/types.h: names and numbers of the enumerations, sizes, ids and their order,
// vectors as floats. Single-threaded. Always holds: expected values are written out.
// The numbers expected here are those on disk and on the wire.
#include "vecserve/types.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "vecserve/serving.h"

namespace {

using namespace vecserve;

template <typename T, std::size_t N>
Vector vector_of(ScalarType type, std::uint32_t dim, const std::array<T, N>& values) {
  return {type, dim, std::as_bytes(std::span(values))};
}

TEST_CASE("types: enumerators keep their numbers and names", "[base]") {
  const std::vector<std::string> metrics = {"l2", "dot", "cosine", "l1", "hamming"};
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const auto metric = static_cast<Metric>(i);
    CHECK(to_string(metric) == metrics[i]);
    CHECK(parse_metric(metrics[i]) == metric);
  }
  const std::vector<std::string> types = {"f32", "f16", "bf16", "i8", "u8", "bit"};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const auto type = static_cast<ScalarType>(i);
    CHECK(to_string(type) == types[i]);
    CHECK(parse_scalar_type(types[i]) == type);
  }
  CHECK(to_string(static_cast<Metric>(5)) == "unknown");
  CHECK(to_string(static_cast<ScalarType>(6)) == "unknown");
  for (const char* text : {"", "L2", "l2 ", "unknown"}) {
    CHECK(parse_metric(text) == std::nullopt);
    CHECK(parse_scalar_type(text) == std::nullopt);
  }
}

TEST_CASE("types: a vector takes its coordinates' bytes, bits rounded up", "[base]") {
  CHECK(vector_bytes(ScalarType::f32, 3) == 12);
  CHECK(vector_bytes(ScalarType::f16, 3) == 6);
  CHECK(vector_bytes(ScalarType::bf16, 3) == 6);
  CHECK(vector_bytes(ScalarType::i8, 3) == 3);
  CHECK(vector_bytes(ScalarType::u8, 65'536) == 65'536);
  CHECK(vector_bytes(ScalarType::bit, 1) == 1);
  CHECK(vector_bytes(ScalarType::bit, 8) == 1);
  CHECK(vector_bytes(ScalarType::bit, 9) == 2);
  CHECK(vector_bytes(ScalarType::f32, 0) == 0);
  CHECK(vector_bytes(static_cast<ScalarType>(9), 4) == 0);
}

TEST_CASE("types: ids sort numbers first by value, then strings byte by byte", "[base]") {
  std::vector<RowId> ids = {
      RowId("b"), RowId(std::string("\xff")),  RowId(UINT64_MAX), RowId("a"), RowId("aa"), RowId(2),
      RowId(10),  RowId(std::string("a\0", 2))};
  std::sort(ids.begin(), ids.end());
  const std::vector<RowId> expected = {
      RowId(2),    RowId(10),  RowId(UINT64_MAX),         RowId("a"), RowId(std::string("a\0", 2)),
      RowId("aa"), RowId("b"), RowId(std::string("\xff"))};
  CHECK(ids == expected);
  CHECK(RowId("2") != RowId(2));
  CHECK(RowId() == RowId(0));
}

TEST_CASE("types: the text of an id is for people and escapes what they cannot read", "[base]") {
  CHECK(RowId(42).to_string() == "42");
  CHECK(RowId(UINT64_MAX).to_string() == "18446744073709551615");
  CHECK(RowId("abc").to_string() == "\"abc\"");
  CHECK(RowId(std::string("a\x01\"\\\x7f\xc3", 6)).to_string() == "\"a\\x01\\\"\\\\\\x7f\\xc3\"");
}

TEST_CASE("types: every storage type gives its coordinates back as floats", "[base]") {
  using Floats = std::vector<float>;
  CHECK(vector_of(ScalarType::f32, 2, std::array{1.5f, -2.0f}).to_floats() == Floats{1.5f, -2.0f});
  CHECK(vector_of(ScalarType::f16, 2, std::array<std::uint16_t, 2>{0x3c00, 0xc000}).to_floats() ==
        Floats{1.0f, -2.0f});
  CHECK(vector_of(ScalarType::bf16, 2, std::array<std::uint16_t, 2>{0x3f80, 0xc040}).to_floats() ==
        Floats{1.0f, -3.0f});
  CHECK(vector_of(ScalarType::i8, 2, std::array<std::int8_t, 2>{-128, 127}).to_floats() ==
        Floats{-128.0f, 127.0f});
  CHECK(vector_of(ScalarType::u8, 2, std::array<std::uint8_t, 2>{0, 255}).to_floats() ==
        Floats{0.0f, 255.0f});
  CHECK(
      vector_of(ScalarType::bit, 10, std::array<std::uint8_t, 2>{0b1000'0001, 0b10}).to_floats() ==
      Floats{1, 0, 0, 0, 0, 0, 0, 1, 0, 1});
  CHECK(Vector().to_floats().empty());
}

TEST_CASE("types: a vector with too few bytes has no floats", "[base]") {
  CHECK(vector_of(ScalarType::f32, 3, std::array{1.0f, 2.0f}).to_floats().empty());
  CHECK(vector_of(ScalarType::bit, 9, std::array<std::uint8_t, 1>{1}).to_floats().empty());
}

TEST_CASE("types: views know what they look at", "[base]") {
  const std::vector<float> floats = {1, 2, 3};
  const VectorView view(floats);
  CHECK(view.type == ScalarType::f32);
  CHECK(view.dim == 3);
  CHECK(view.data == floats.data());
  CHECK_FALSE(view.empty());
  CHECK(VectorView().empty());
  const std::array<std::uint16_t, 2> halves = {0, 0};
  CHECK(VectorView::f16(halves).type == ScalarType::f16);
  CHECK(VectorView::bf16(halves).type == ScalarType::bf16);
  const std::array<std::uint8_t, 2> packed = {1, 0};
  CHECK(VectorView::bits(packed, 9).dim == 9);
  CHECK(VectorView(std::span<const std::uint8_t>(packed)).type == ScalarType::u8);
  const Vector owned(ScalarType::f32, 3, std::as_bytes(std::span(floats)));
  CHECK(std::memcmp(owned.view().data, floats.data(), 12) == 0);
  CHECK(owned.view().dim == 3);
}

TEST_CASE("types: neighbours are equal when id and distance are", "[base]") {
  Neighbor a{RowId(1), 2.0, {}, {}};
  Neighbor b = a;
  b.payload = "{}";
  CHECK(a == b);
  b.distance = 3.0;
  CHECK_FALSE(a == b);
}

TEST_CASE("types: classes of requests have names", "[types]") {
  CHECK(to_string(Priority::interactive) == "interactive");
  CHECK(to_string(Priority::bulk) == "bulk");
  CHECK(to_string(Priority::background) == "background");
  CHECK(to_string(Priority{3}) == "unknown");
}

}  // namespace
