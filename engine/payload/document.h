// The JSON object of a row: checked once when it is written, and taken apart into what columns and
// filters need. Comes before the store in a write. Pure functions, any thread.
// Always holds: a payload that passed check_payload can be read by every later reader without an
// error. Values follow the filter language: a JSON boolean is the number 1 or 0; nested objects and
// lists that hold anything but numbers and strings have no value (as a missing field).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve::engine {

// Names of declared fields, in order, with their types.
using FieldList = std::span<const FieldOptions>;

// A field's value as filters see it.
struct FieldValue {
  enum class Kind : std::uint8_t { missing, null, number, string, list };
  Kind kind = Kind::missing;
  double number = 0.0;
  std::string text;               // for string, unescaped
  std::vector<FieldValue> items;  // for list: numbers and strings
};

// Checks UTF-8, syntax, depth, size, that it is an object, that no top-level name comes twice, and
// that each declared field has its declared type, null, or is absent. Fills `fields` (same order as
// `declared`) with the declared values. `text` "" counts as {}. The field named in an error is
// "payload" or "payload.NAME".
[[nodiscard]] Status check_payload(std::string_view text, FieldList declared,
                                   std::vector<FieldValue>& fields);

// Several top-level fields of a payload that passed check_payload, in one pass; the slow path of
// filters on undeclared fields. `sorted_names` are unique and in byte order; values[i] belongs to
// name i. False as soon as one of them is missing; the values are then of no use. May throw
// std::bad_alloc.
[[nodiscard]] bool read_fields(std::string_view text,
                               std::span<const std::string_view> sorted_names,
                               std::span<FieldValue> values);

// One top-level field; missing when it is not there. May throw std::bad_alloc.
[[nodiscard]] FieldValue read_field(std::string_view text, std::string_view name);

}  // namespace vecserve::engine
