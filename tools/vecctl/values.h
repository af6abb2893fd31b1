// Small values in their textual forms: vectors, ids, hexadecimal bytes, fields of a collection, and
// rows as JSON. Comes below the readers and the commands; pure, any thread.
// Always holds: what *_text or *_json writes, the parser beside it reads back to the same value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/options.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::vecctl {

// "0.1,0.2 ; [3]": numbers between blanks, commas, semicolons, brackets. invalid_argument names the
// first coordinate that is none.
[[nodiscard]] Result<std::vector<float>> parse_vector(std::string_view text);

// Digits only: a number; anything else, or anything when `as_text`: a byte string.
[[nodiscard]] Result<RowId> parse_row_id(std::string_view text, bool as_text);

[[nodiscard]] std::optional<std::string> parse_hex(std::string_view text);

// "year:number".
[[nodiscard]] Result<FieldOptions> parse_field_option(std::string_view text);

// "id": 7 or "id": "seven" or "id_hex": "00ff", without braces, for one line of JSON.
[[nodiscard]] std::string id_json(const RowId& id);
// A text in quotes, escaped; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string text_json(std::string_view text);
// The shortest digits that read back to the same number.
[[nodiscard]] std::string number_json(double number);
[[nodiscard]] std::string vector_json(const Vector& vector);
// One line that open_json_lines reads back.
[[nodiscard]] std::string row_json(const Row& row);
// {"id": 7, "distance": 0.25, "payload": {...}}, and the vector when it was fetched. A row that was
// written without a payload has the empty one.
[[nodiscard]] std::string neighbor_json(const Neighbor& neighbor, bool with_payload);

[[nodiscard]] bool is_utf8(std::string_view bytes);

}  // namespace vecserve::vecctl
