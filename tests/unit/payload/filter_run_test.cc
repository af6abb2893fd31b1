// Tests of FilterRun (engine/payload/filter.h): one run over blocks with and without columns, with
// other declared fields and with fields that no row has says of each what its rows say one by one.
// One thread.
#include <bit>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "engine/payload/column_block.h"
#include "engine/payload/filter.h"
#include "tests/support/payload_columns.h"

namespace {

using vecserve::FieldOptions;
using vecserve::FieldType;
using vecserve::engine::ColumnBlock;
using vecserve::engine::Filter;
using vecserve::engine::FilterRun;
using vecserve::test::columns_of;

struct Block {
  std::vector<FieldOptions> declared;
  std::vector<std::string> rows;
};

TEST_CASE("filter: a run over many blocks answers for each as if it were the only one",
          "[filter]") {
  const std::vector<FieldOptions> declared = {
      {"year", FieldType::number}, {"genre", FieldType::string}, {"live", FieldType::boolean}};
  const std::vector<FieldOptions> others = {{"x", FieldType::string}, {"year", FieldType::number}};
  const std::vector<Block> blocks = {
      {declared, {R"({"genre":"a"})", "", "{}"}},  // no year
      {declared, {R"({"year":1,"genre":"a","x":"1"})", R"({"year":5})"}},
      {declared, {R"({"year":null})", R"({"year":5,"genre":"a","x":"2"})"}},
      {declared, {"{}"}},
      {others, {R"({"year":5,"genre":"a","x":"1"})", R"({"year":2})"}},
      {{}, {R"({"year":5,"genre":"a","x":"3"})", R"({"year":9})"}},
      {declared, {R"({"year":5,"x":""})", R"({"year":5,"genre":"b"})"}}};
  std::vector<std::unique_ptr<ColumnBlock>> columns;
  columns.reserve(blocks.size());
  for (const Block& block : blocks) columns.push_back(columns_of(block.declared, block.rows));
  for (const char* text : {".year > 1", ".year == 5 and .genre == 'a'", ".year == null", "1",
                           ".genre == 'a' or .year == 5", ".x == '1' and .year >= 1", "not .year",
                           ".year + 1 == 6", ".year > 1 and .x != '2'", ".year <= 1"}) {
    const Filter filter = *Filter::parse(text);
    FilterRun run(filter);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      CAPTURE(text, b);
      const std::uint64_t eligible = 7;
      std::uint64_t expected = 0;
      for (std::size_t row = 0; row < blocks[b].rows.size(); ++row) {
        expected |= std::uint64_t{filter.matches(blocks[b].rows[row])} << row;
      }
      std::uint64_t found = 0;
      const auto count = static_cast<std::uint32_t>(blocks[b].rows.size());
      CHECK(run.evaluate(columns[b].get(), count, &eligible, &found) ==
            static_cast<std::uint32_t>(std::popcount(expected)));
      CHECK(found == expected);
    }
  }
}

}  // namespace
