// Checks engine/payload_rows: texts and columns stand at the positions of their rows.
// Single-threaded.
// Always holds: values expected are those that check_payload gave.
#include "engine/payload_rows.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

TEST_CASE("payload rows: what is appended comes back, by text and by field", "[engine]") {
  const std::vector<FieldOptions> declared = {
      {"n", FieldType::number}, {"s", FieldType::string}, {"b", FieldType::boolean}};
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  const auto block = make_payload_block(shape, declared);
  const std::vector<std::string> texts = {"", R"({"n": 1.5})", R"({"s": "x", "b": true})",
                                          R"({"n": null, "other": [1]})"};
  const std::byte x{1};
  std::vector<std::vector<FieldValue>> given;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<FieldValue> values(3);
    if (!texts[i].empty()) REQUIRE(check_payload(texts[i], declared, values).ok());
    append_payload(*block, texts[i], values);
    static_cast<void>(block->append(i, IdView(std::uint64_t{i}), &x, 0));
    given.push_back(values);
  }
  for (std::uint32_t p = 0; p < texts.size(); ++p) {
    CAPTURE(p);
    CHECK(payload_text(*block, p) == texts[p]);
    std::vector<FieldValue> values(3, given[2][1]);  // something to be overwritten
    payload_fields(*block, p, values);
    for (std::size_t f = 0; f < 3; ++f) {
      CHECK(values[f].kind == given[p][f].kind);
      CHECK(values[f].number == given[p][f].number);
      CHECK(values[f].text == given[p][f].text);
    }
  }
  CHECK(columns_of(*block).fields().size() == 3);
}

TEST_CASE("payload rows: a position that was taken back is written again", "[engine]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  const auto block = make_payload_block(shape, {});
  const std::byte x{1};
  append_payload(*block, R"({"lost": 1})", {});
  static_cast<void>(block->append(0, IdView(std::uint64_t{0}), &x, 0));
  block->truncate(0);
  append_payload(*block, "", {});
  static_cast<void>(block->append(0, IdView(std::uint64_t{0}), &x, 0));
  CHECK(payload_text(*block, 0).empty());
}

TEST_CASE("payload rows: rows without payload cost no memory", "[engine]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::u8, 1);
  const auto block = make_payload_block(shape, {});
  const std::size_t before = columns_of(*block).memory_bytes();
  append_payload(*block, "", {});
  CHECK(columns_of(*block).memory_bytes() == before);
}

}  // namespace
