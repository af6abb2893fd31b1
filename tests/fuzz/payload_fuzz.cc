// Fuzz target: any bytes as a payload. What check_payload accepts can be stored, read field by
// field and filtered later, and gives the declared values again; what it refuses names the field
// and a reason. Driven by libFuzzer or by tests/support/fuzz_main.cc.
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
using vecserve::engine::read_field;

// Traps where a debugger or a sanitizer shows the input.
void require(bool condition) {
  if (!condition) std::abort();
}

bool same(const FieldValue& a, const FieldValue& b) {
  return a.kind == b.kind && a.number == b.number && a.text == b.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<FieldOptions> declared = {
      {"year", FieldType::number}, {"genre", FieldType::string}, {"live", FieldType::boolean}};
  static const auto filter = Filter::parse(".year >= 1990 or .genre == 'jazz' or not .live");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<FieldValue> values;
  const vecserve::Status status = check_payload(text, declared, values);
  if (!status.ok()) {
    require(status.field().starts_with("payload") && !status.message().empty());
    return 0;
  }
  require(values.size() == declared.size());
  for (std::size_t i = 0; i < declared.size(); ++i) {
    require(same(values[i], read_field(text, declared[i].name)));
  }
  static_cast<void>(read_field(text, "undeclared"));
  std::vector<FieldValue> again;
  require(check_payload(text, {}, again).ok());
  ColumnBlock columns(declared, 1);
  columns.append(0, text, values);
  require(columns.text(0) == text);
  std::uint64_t bits = 1;
  const bool found = filter->evaluate(&columns, 1, &bits, &bits) == 1;
  require(found == filter->matches(text));
  return 0;
}
