// Payloads as the columns that a filter reads, as a block of rows would hold them. For the tests of
// engine/payload; header only, the test's thread. Always holds: row p's payload is at position p,
// and every one of them passed the same check as a write.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "engine/payload/column_block.h"
#include "engine/payload/document.h"

namespace vecserve::test {

inline std::unique_ptr<engine::ColumnBlock> columns_of(const std::vector<FieldOptions>& declared,
                                                       const std::vector<std::string>& payloads) {
  const auto count = static_cast<std::uint32_t>(payloads.size());
  auto columns = std::make_unique<engine::ColumnBlock>(declared, count);
  std::vector<engine::FieldValue> values;
  for (std::uint32_t p = 0; p < count; ++p) {
    INFO(payloads[p]);
    REQUIRE(engine::check_payload(payloads[p], declared, values).ok());
    columns->append(p, payloads[p], values);
  }
  return columns;
}

}  // namespace vecserve::test
