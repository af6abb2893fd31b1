// Values as text and back, tables and progress lines as people see them. Tests values and table of
// tools/vecctl. Pure; one thread.
// Always holds: what is written is read back to the same value.
#include "tools/vecctl/values.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tools/vecctl/table.h"

namespace vecserve::vecctl {
namespace {

TEST_CASE("vecctl values: vectors between any gaps, coordinates by their place") {
  CHECK(*parse_vector("0.1,0.2 ; [3]\t-4e-1") == std::vector<float>{0.1F, 0.2F, 3.0F, -0.4F});
  CHECK(parse_vector("")->empty());
  CHECK(*parse_vector("1e-60") == std::vector<float>{0.0F});
  for (const std::string text : {"a", "1,b", "1,2x", "0x10", "1,,-"}) {
    CAPTURE(text);
    CHECK(parse_vector(text).status().field() == "vector");
  }
  std::string many;
  for (int i = 0; i < 65'536; ++i) many += "1 ";
  CHECK(parse_vector(many)->size() == 65'536);
  CHECK_FALSE(parse_vector(many + "1").ok());
}

TEST_CASE("vecctl values: digits are numbers unless they are said to be texts") {
  CHECK(*parse_row_id("42", false) == RowId(42));
  CHECK(*parse_row_id("42", true) == RowId("42"));
  CHECK(*parse_row_id("4x", false) == RowId("4x"));
  CHECK(*parse_row_id("-4", false) == RowId("-4"));
  CHECK_FALSE(parse_row_id("", false).ok());
  CHECK_FALSE(parse_row_id("18446744073709551616", false).ok());
  CHECK(*parse_row_id("18446744073709551615", false) ==
        RowId(std::uint64_t{18'446'744'073'709'551'615U}));
}

TEST_CASE("vecctl values: fields are a name and a type") {
  CHECK(parse_field_option("year:number")->type == FieldType::number);
  CHECK(parse_field_option("year:number")->name == "year");
  for (const std::string text : {"year", "year:", "year:integer", ""}) {
    CHECK(parse_field_option(text).status().field() == "field");
  }
}

TEST_CASE("vecctl values: ids as JSON, and bytes that are no text in hexadecimal") {
  CHECK(id_json(7) == "\"id\":7");
  CHECK(id_json("a\"b\n") == "\"id\":\"a\\\"b\\n\"");
  CHECK(id_json(std::string("\x00\xff", 2)) == "\"id_hex\":\"00ff\"");
  CHECK(parse_hex("00fF") == std::string("\x00\xff", 2));
  CHECK_FALSE(parse_hex("0").has_value());
  CHECK_FALSE(parse_hex("0g").has_value());
  CHECK(is_utf8("\xc3\xa4"));
  CHECK_FALSE(is_utf8("\xc3"));
}

TEST_CASE("vecctl values: the shortest digits, and no digits for what is no number") {
  CHECK(number_json(0.1) == "0.1");
  CHECK(number_json(-0.0) == "-0");
  CHECK(number_json(1e300) == "1e+300");
  CHECK(number_json(std::numeric_limits<double>::infinity()) == "null");
}

TEST_CASE("vecctl values: rows and neighbours as one line of JSON") {
  const std::vector<float> floats = {0.1F, 2.0F};
  Row row;
  row.id = "x";
  row.vector = Vector(ScalarType::f32, 2, std::as_bytes(std::span(floats)));
  row.payload = "{\"a\": 1}";
  row.ttl_ms = 9;
  CHECK(row_json(row) == R"({"id":"x","vector":[0.1,2],"payload":{"a": 1},"ttl_ms":9})");
  Neighbor neighbor;
  neighbor.id = 7;
  neighbor.distance = 0.25;
  CHECK(neighbor_json(neighbor, true) == R"({"id":7,"distance":0.25,"payload":{}})");
  CHECK(neighbor_json(neighbor, false) == R"({"id":7,"distance":0.25})");
}

TEST_CASE("vecctl table: columns are aligned by characters, numbers to the right") {
  Table table({"NAME", ">ROWS"});
  table.add({"bücher", "7"});
  table.add({"a", "12,345"});
  CHECK(table.text() ==
        "NAME      ROWS\n"
        "bücher       7\n"
        "a       12,345\n");
  CHECK(cut("abcdef", 4) == "abc…");
  CHECK(cut("äöüß", 4) == "äöüß");
  CHECK(cut("äöüßx", 4) == "äöü…");
  CHECK(cut("a\nb", 9) == "a b");
}

TEST_CASE("vecctl table: counts, sizes and durations as people read them") {
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(1'000) == "1,000");
  CHECK(count_text(12'345'678) == "12,345,678");
  CHECK(bytes_text(1'023) == "1023 B");
  CHECK(bytes_text(1'536) == "1.5 KiB");
  CHECK(bytes_text(std::uint64_t{5} << 40) == "5.0 TiB");
  CHECK(duration_text(999) == "999 ns");
  CHECK(duration_text(13'200) == "13.2 µs");
  CHECK(duration_text(1'500'000'000) == "1.5 s");
}

TEST_CASE("vecctl table: a progress line knows its share and what is left") {
  using namespace std::chrono_literals;
  CHECK(progress_text(0.5, 1'000, 2s) ==
        "[###############               ]  50 %  1,000 rows  500 rows/s  2 s left");
  CHECK(progress_text(0.0, 1'000, 2s) == "1,000 rows  500 rows/s");
  CHECK(progress_text(7.0, 10, 1s).starts_with("[##############################] 100 %"));
}

}  // namespace
}  // namespace vecserve::vecctl
