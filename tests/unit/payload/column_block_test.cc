// Tests of engine/payload/column_block.cc: what was appended is what is read, nothing is made
// before it is needed, positions can be written again, and a reader beside the writer sees every
// published row whole. The last case is the one for the thread sanitizer: one writer, several
// readers.
#include "engine/payload/column_block.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using vecserve::FieldOptions;
using vecserve::FieldType;
using vecserve::engine::ColumnBlock;
using vecserve::engine::FieldValue;
using Kind = FieldValue::Kind;

const std::vector<FieldOptions> kFields = {
    {"year", FieldType::number}, {"genre", FieldType::string}, {"live", FieldType::boolean}};

FieldValue number(double value) {
  return {Kind::number, value, {}, {}};
}
FieldValue text(std::string value) {
  return {Kind::string, 0.0, std::move(value), {}};
}
FieldValue null() {
  return {Kind::null, 0.0, {}, {}};
}
FieldValue missing() {
  return {};
}

Kind kind(const ColumnBlock::Column& column, std::uint32_t position) {
  return static_cast<Kind>(column.kinds[position]);
}

TEST_CASE("columns: rows without payload make nothing", "[payload]") {
  ColumnBlock block(kFields, 8192);
  const std::size_t before = block.memory_bytes();
  for (std::uint32_t p = 0; p < 100; ++p) {
    block.append(p, "", std::vector<FieldValue>{missing(), missing(), missing()});
  }
  CHECK(block.memory_bytes() == before);
  CHECK(before < 1024);
  CHECK(block.text(99).empty());
  for (std::uint32_t f = 0; f < 3; ++f) CHECK(block.column(f).kinds == nullptr);
}

TEST_CASE("columns: a block without declared fields holds texts only", "[payload]") {
  ColumnBlock block({}, 64);
  block.append(0, "{}", {});
  block.append(1, R"({"a":1})", {});
  block.append(2, "", {});
  CHECK(block.text(0) == "{}");
  CHECK(block.text(1) == R"({"a":1})");
  CHECK(block.text(2).empty());
  CHECK(block.fields().empty());
}

TEST_CASE("columns: values keep their kind, rows before the first value are missing", "[payload]") {
  ColumnBlock block(kFields, 64);
  block.append(0, "", std::vector<FieldValue>{missing(), missing(), missing()});
  block.append(1, "{1}", std::vector<FieldValue>{number(1990), null(), missing()});
  block.append(2, "{2}", std::vector<FieldValue>{null(), text("jazz"), missing()});
  block.append(3, "{3}", std::vector<FieldValue>{number(-0.5), text(""), missing()});
  const ColumnBlock::Column year = block.column(0);
  REQUIRE(year.kinds != nullptr);
  CHECK(kind(year, 0) == Kind::missing);
  CHECK(kind(year, 1) == Kind::number);
  CHECK(year.numbers[1] == 1990.0);
  CHECK(kind(year, 2) == Kind::null);
  CHECK(year.numbers[2] == 0.0);
  CHECK(year.numbers[3] == -0.5);
  CHECK(year.strings == nullptr);
  const ColumnBlock::Column genre = block.column(1);
  CHECK(kind(genre, 0) == Kind::missing);
  CHECK(kind(genre, 1) == Kind::null);
  CHECK(genre.strings[1].empty());
  CHECK(genre.strings[2] == "jazz");
  CHECK(kind(genre, 3) == Kind::string);
  CHECK(genre.strings[3].empty());
  CHECK(genre.numbers == nullptr);
  CHECK(block.column(2).kinds == nullptr);  // nothing was ever stored there
  CHECK(block.text(0).empty());
  CHECK(block.text(3) == "{3}");
}

TEST_CASE("columns: a position that was taken back is written anew", "[payload]") {
  ColumnBlock block(kFields, 64);
  block.append(0, "{0}", std::vector<FieldValue>{number(1), text("old"), number(1)});
  block.append(0, "", std::vector<FieldValue>{missing(), missing(), missing()});
  CHECK(block.text(0).empty());
  for (std::uint32_t f = 0; f < 3; ++f) CHECK(kind(block.column(f), 0) == Kind::missing);
  block.append(0, "{b}", std::vector<FieldValue>{null(), text("new"), number(0)});
  CHECK(block.text(0) == "{b}");
  CHECK(kind(block.column(0), 0) == Kind::null);
  CHECK(block.column(0).numbers[0] == 0.0);
  CHECK(block.column(1).strings[0] == "new");
}

TEST_CASE("columns: addresses never move, equal strings share their bytes", "[payload]") {
  ColumnBlock block(kFields, 8192);
  block.append(0, std::string(100'000, 'x'),
               std::vector<FieldValue>{missing(), text("jazz"), missing()});
  const char* const first_text = block.text(0).data();
  const char* const first_genre = block.column(1).strings[0].data();
  for (std::uint32_t p = 1; p < 8192; ++p) {
    const std::string genre = p % 3 == 0 ? "jazz" : "genre " + std::to_string(p);
    block.append(p, "{" + std::to_string(p) + "}",
                 std::vector<FieldValue>{number(p), text(genre), missing()});
  }
  CHECK(block.text(0).data() == first_text);
  CHECK(block.text(0) == std::string(100'000, 'x'));
  CHECK(block.column(1).strings[0].data() == first_genre);
  for (std::uint32_t p = 1; p < 8192; ++p) {
    REQUIRE(block.text(p) == "{" + std::to_string(p) + "}");
    REQUIRE(block.column(0).numbers[p] == p);
    REQUIRE(block.column(1).strings[p] ==
            (p % 3 == 0 ? std::string("jazz") : "genre " + std::to_string(p)));
  }
  ColumnBlock few({}, 8192);
  ColumnBlock same(kFields, 8192);
  for (std::uint32_t p = 0; p < 8192; ++p) {
    same.append(p, "", std::vector<FieldValue>{missing(), text("a genre name"), missing()});
  }
  // 8,192 strings of 12 bytes would be 96 KiB; kinds and views take 136 KiB and more.
  CHECK(same.memory_bytes() < 8192 * 17 + 8192);
  CHECK(same.memory_bytes() > few.memory_bytes() + 8192 * 17);
}

TEST_CASE("columns: readers beside the writer see every published row whole", "[payload]") {
  constexpr std::uint32_t kRows = 4096;
  for (int round = 0; round < 5; ++round) {
    ColumnBlock block(kFields, kRows);
    std::atomic<std::uint32_t> published{0};
    std::atomic<std::uint32_t> wrong{0};
    const auto read = [&] {
      std::uint32_t count = 0;
      while (count < kRows) {
        count = published.load(std::memory_order_acquire);
        const ColumnBlock::Column year = block.column(0);
        const ColumnBlock::Column genre = block.column(1);
        for (std::uint32_t p = count > 50 ? count - 50 : 0; p < count; ++p) {
          const bool late = p >= 1000;  // the year comes with row 1,000
          if (late && (year.kinds == nullptr || year.numbers[p] != p)) ++wrong;
          if (!late && year.kinds != nullptr && kind(year, p) != Kind::missing) ++wrong;
          if (genre.kinds == nullptr || genre.strings[p] != std::to_string(p)) ++wrong;
          if (block.text(p) != "{" + std::to_string(p) + "}") ++wrong;
          if (block.memory_bytes() == 0) ++wrong;
        }
      }
    };
    std::thread one(read);
    std::thread two(read);
    for (std::uint32_t p = 0; p < kRows; ++p) {
      block.append(p, "{" + std::to_string(p) + "}",
                   std::vector<FieldValue>{p >= 1000 ? number(p) : missing(),
                                           text(std::to_string(p)), missing()});
      published.store(p + 1, std::memory_order_release);
    }
    one.join();
    two.join();
    CHECK(wrong.load() == 0);
  }
}

}  // namespace
