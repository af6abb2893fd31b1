// Checks engine/rows/row_block: what goes in comes out, limits of a block, ids and expiry times.
// Single-threaded. Always holds: expected values are written out or follow from the position.
// Part of unit_rows, which links that layer and what is below it, nothing above.
#include "engine/rows/row_block.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace vecserve;
using engine::ByteArena;
using engine::IdView;
using engine::RowBlock;
using engine::RowShape;

const std::byte* bytes_of(const std::vector<float>& x) {
  return reinterpret_cast<const std::byte*>(x.data());
}

TEST_CASE("row block: rows come back as they were appended, padding is zero", "[rows]") {
  const RowShape shape = RowShape::make(Metric::dot, ScalarType::f32, 3);
  RowBlock block(shape);
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto value = static_cast<float>(i);
    CHECK(block.append(1000 + 2 * i, IdView(7 * i), bytes_of({value, -value, 1.0f}), 0) == i);
  }
  CHECK(block.size() == 100);
  for (std::uint32_t i = 0; i < 100; ++i) {
    float row[4];
    std::memcpy(row, block.vector(i), 16);
    CHECK(row[0] == static_cast<float>(i));
    CHECK(row[1] == -static_cast<float>(i));
    CHECK(row[2] == 1.0f);
    CHECK(row[3] == 0.0f);
    CHECK(block.slot(i) == 1000 + 2 * i);
    CHECK(block.id(i) == IdView(std::uint64_t{7} * i));
    CHECK(block.expires_at_ms(i) == 0);
  }
  CHECK(block.norms()[0] >= 1.0f);
  CHECK(block.norms()[0] < 1.000001f);
  CHECK(block.first_expiry_ms() == UINT64_MAX);
  CHECK(block.vector_bytes() == 4096);
}

TEST_CASE("row block: a full block and a slot too far away are not accepted", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 65'536);
  REQUIRE(shape.capacity == 64);
  RowBlock block(shape);
  const std::vector<float> x(shape.dim, 1.0f);
  CHECK(block.accepts(std::uint64_t{1} << 47));
  static_cast<void>(block.append(10, IdView(std::uint64_t{0}), bytes_of(x), 0));
  CHECK(block.accepts(std::uint64_t{10} + UINT32_MAX));
  CHECK_FALSE(block.accepts(std::uint64_t{11} + UINT32_MAX));
  CHECK_FALSE(block.accepts(10));
  CHECK_FALSE(block.accepts(9));
  for (std::uint64_t i = 1; i < 64; ++i) {
    REQUIRE(block.accepts(10 + i));
    static_cast<void>(block.append(10 + i, IdView(i), bytes_of(x), 0));
  }
  CHECK_FALSE(block.accepts(100));
}

TEST_CASE("row block: byte-string ids of every length keep their bytes", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  RowBlock block(shape);
  const std::byte x{9};
  std::vector<std::string> ids;
  for (std::size_t length = 1; length <= 255; ++length) {
    std::string id(length, static_cast<char>(length));
    id[0] = '\0';
    ids.push_back(id);
    static_cast<void>(block.append(length, IdView(std::string_view(id)), &x, 0));
  }
  for (std::uint32_t i = 0; i < 255; ++i) {
    CHECK_FALSE(block.id(i).is_number());
    CHECK(block.id(i).bytes == ids[i]);
    CHECK(block.id(i).to_id() == RowId(ids[i]));
  }
  // A word and a byte for each row there is room for, and three chunks for 32,895 bytes of ids.
  CHECK(block.index_bytes() == std::size_t{9} * shape.capacity + 3 * (std::size_t{16} << 10));
}

TEST_CASE("row block: places of slots appear with the first slot that is left out", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  RowBlock block(shape);
  const std::byte x{1};
  for (std::uint64_t i = 0; i < 5; ++i) {
    static_cast<void>(block.append(100 + i, IdView(i), &x, 0));
  }
  CHECK(block.index_bytes() == std::size_t{8} * shape.capacity);
  CHECK(block.slot(4) == 104);
  static_cast<void>(block.append(107, IdView(std::uint64_t{5}), &x, 0));
  static_cast<void>(block.append(108, IdView(std::uint64_t{6}), &x, 0));
  CHECK(block.index_bytes() == std::size_t{12} * shape.capacity);
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(block.slot(i) == 100 + i);
  CHECK(block.slot(5) == 107);
  CHECK(block.slot(6) == 108);
  // A row that was taken back may come again right behind the one before it.
  block.truncate(5);
  static_cast<void>(block.append(105, IdView(std::uint64_t{7}), &x, 0));
  CHECK(block.slot(4) == 104);
  CHECK(block.slot(5) == 105);
}

TEST_CASE("row block: kinds of ids appear with the first that is bytes", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  RowBlock block(shape);
  const std::byte x{1};
  static_cast<void>(block.append(1, IdView(std::uint64_t{11}), &x, 0));
  static_cast<void>(block.append(2, IdView(std::uint64_t{12}), &x, 0));
  static_cast<void>(block.append(3, IdView(std::string_view("name")), &x, 0));
  static_cast<void>(block.append(4, IdView(std::uint64_t{14}), &x, 0));
  CHECK(block.id(0) == IdView(std::uint64_t{11}));
  CHECK(block.id(1) == IdView(std::uint64_t{12}));
  CHECK(block.id(2) == IdView(std::string_view("name")));
  CHECK(block.id(3) == IdView(std::uint64_t{14}));
}

TEST_CASE("row block: expiry times appear with the first row that expires", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  RowBlock block(shape);
  const std::byte x{1};
  static_cast<void>(block.append(0, IdView(std::uint64_t{0}), &x, 0));
  const std::size_t before = block.index_bytes();
  static_cast<void>(block.append(1, IdView(std::uint64_t{1}), &x, 5000));
  static_cast<void>(block.append(2, IdView(std::uint64_t{2}), &x, 0));
  static_cast<void>(block.append(3, IdView(std::uint64_t{3}), &x, 4000));
  CHECK(block.expires_at_ms(0) == 0);
  CHECK(block.expires_at_ms(1) == 5000);
  CHECK(block.expires_at_ms(2) == 0);
  CHECK(block.expires_at_ms(3) == 4000);
  CHECK(block.first_expiry_ms() == 4000);
  CHECK(block.index_bytes() == before + std::size_t{8} * shape.capacity);
  // A row that was taken back must not leave its time behind.
  block.truncate(1);
  CHECK(block.size() == 1);
  CHECK(block.append(1, IdView(std::uint64_t{8}), &x, 0) == 1);
  CHECK(block.expires_at_ms(1) == 0);
  CHECK(block.id(1) == IdView(std::uint64_t{8}));
}

TEST_CASE("row block: bit vectors have no norms", "[rows]") {
  CHECK(RowBlock(RowShape::make(Metric::l2, ScalarType::f32, 3)).norms() == nullptr);
  const RowBlock block(RowShape::make(Metric::hamming, ScalarType::bit, 77));
  CHECK(block.norms() == nullptr);
}

TEST_CASE("id view: numbers come before strings, strings compare byte by byte", "[rows]") {
  const IdView small(std::uint64_t{3});
  const IdView large(UINT64_MAX);
  const IdView a(std::string_view("a"));
  const IdView aa(std::string_view("aa"));
  const IdView high(std::string_view("\xff"));
  CHECK(small < large);
  CHECK(large < a);
  CHECK_FALSE(a < large);
  CHECK(a < aa);
  CHECK(aa < high);
  CHECK_FALSE(high < aa);
  const RowId owner("a");
  CHECK(a == IdView(owner));
  CHECK_FALSE(a == small);
  CHECK(IdView(RowId(3)) == small);
}

TEST_CASE("byte arena: addresses never move", "[rows]") {
  ByteArena arena;
  std::vector<std::string_view> views;
  for (std::size_t i = 0; i < 2000; ++i) {
    views.push_back(arena.add(std::string(i % 50, static_cast<char>('a' + i % 26))));
  }
  const std::string large(100'000, 'L');
  const std::string_view stored = arena.add(large);
  for (std::size_t i = 0; i < 2000; ++i) {
    CHECK(views[i] == std::string(i % 50, static_cast<char>('a' + i % 26)));
  }
  CHECK(stored == large);
  CHECK(arena.allocated_bytes() >= 100'000 + 2000 * 24);
}

}  // namespace
