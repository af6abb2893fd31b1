// Fuzz target: any bytes as the text of a filter. What parses is run on fixed payloads, alone and
// as a block with and without columns, and the three must agree; what does not parse names the
// field and a reason. Driven by libFuzzer or by tests/support/fuzz_main.cc.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/payload/column_block.h"
#include "engine/payload/filter.h"

namespace {

using vecserve::FieldOptions;
using vecserve::FieldType;
using vecserve::engine::check_payload;
using vecserve::engine::ColumnBlock;
using vecserve::engine::FieldValue;
using vecserve::engine::Filter;

constexpr std::array<std::string_view, 5> kPayloads = {
    "", R"({"year":1994,"genre":"jazz","live":true,"tags":["a",2],"x":{"y":1}})",
    R"({"year":null,"genre":"","live":false,"tags":[],"x":-0.5})",
    R"({"year":-3,"genre":"12","live":null,"a":1,"b":2})", R"({"genre":"it's \u00e9\n"})"};

// Traps where a debugger or a sanitizer shows the input.
void require(bool condition) {
  if (!condition) std::abort();
}

struct Blocks {
  Blocks() : columns(declared, kRows), texts({}, kRows) {
    std::vector<FieldValue> values;
    for (std::uint32_t p = 0; p < kRows; ++p) {
      require(check_payload(kPayloads[p], declared, values).ok());
      columns.append(p, kPayloads[p], values);
      texts.append(p, kPayloads[p], {});
    }
  }
  static constexpr auto kRows = static_cast<std::uint32_t>(kPayloads.size());
  std::vector<FieldOptions> declared = {
      {"year", FieldType::number}, {"genre", FieldType::string}, {"live", FieldType::boolean}};
  ColumnBlock columns;
  ColumnBlock texts;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Blocks blocks;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto filter = Filter::parse(text);
  if (!filter.ok()) {
    require(filter.status().field() == "filter" && !filter.status().message().empty());
    return 0;
  }
  std::uint64_t expected = 0;
  for (std::uint32_t p = 0; p < Blocks::kRows; ++p) {
    if (filter->matches(kPayloads[p])) expected |= std::uint64_t{1} << p;
  }
  for (const ColumnBlock* block : {&blocks.columns, &blocks.texts}) {
    std::uint64_t bits = ~std::uint64_t{0};
    static_cast<void>(filter->evaluate(block, Blocks::kRows, &bits, &bits));
    require(bits == expected);
  }
  return 0;
}
