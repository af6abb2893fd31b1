// See values.h.
// Numbers by the standard library's shortest form, texts by nlohmann's writer. Pure, any thread.
// Always holds: no locale changes what is read or written.
#include "tools/vecctl/values.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/limits.h"

namespace vecserve::vecctl {
namespace {

namespace limits = engine::limits;

bool is_gap(char c) {
  return c == ' ' || c == ',' || c == ';' || c == '\t' || c == '[' || c == ']';
}

template <typename Float>
std::string shortest(Float number) {
  if (!std::isfinite(number)) return "null";
  std::array<char, 64> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  return {digits.data(), end.ptr};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<std::vector<float>> parse_vector(std::string_view text) {
  std::vector<float> vector;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    while (at != end && is_gap(*at)) ++at;
    if (at == end) return vector;
    if (vector.size() == limits::dim_max) {
      return Status::invalid_argument("vector", "more than 65536 coordinates");
    }
    double number = 0.0;  // as a float, a value next to zero would count as out of range
    const auto parsed = std::from_chars(at, end, number);
    if (parsed.ec != std::errc() || (parsed.ptr != end && !is_gap(*parsed.ptr))) {
      return Status::invalid_argument(
          "vector", "coordinate " + std::to_string(vector.size()) + " is not a number");
    }
    vector.push_back(static_cast<float>(number));
    at = parsed.ptr;
  }
}

Result<RowId> parse_row_id(std::string_view text, bool as_text) {
  if (text.empty()) return Status::invalid_argument("id", "must not be empty");
  if (as_text || text.find_first_not_of("0123456789") != text.npos) return RowId(text);
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) {
    return Status::invalid_argument("id", "is beyond 64 bits; for a text of digits: --text-ids");
  }
  return RowId(number);
}

std::optional<std::string> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

Result<FieldOptions> parse_field_option(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto type = colon == text.npos ? std::nullopt : parse_field_type(text.substr(colon + 1));
  if (!type) {
    return Status::invalid_argument("field",
                                    "must be NAME:TYPE, where TYPE is number, string or boolean");
  }
  return FieldOptions{std::string(text.substr(0, colon)), *type};
}

bool is_utf8(std::string_view bytes) {
  // The writer is strict where its reader would be; it says no by an exception of its own.
  const nlohmann::json value = std::string(bytes);
  try {
    (void)value.dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

std::string text_json(std::string_view text) {
  const nlohmann::json value = std::string(text);
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string id_json(const RowId& id) {
  if (id.is_number()) return fmt::format("\"id\":{}", id.number());
  if (is_utf8(id.bytes())) return fmt::format("\"id\":{}", text_json(id.bytes()));
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\"id_hex\":\"";
  for (const char c : id.bytes()) {
    text.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return text + "\"";
}

std::string number_json(double number) {
  return shortest(number);
}

std::string vector_json(const Vector& vector) {
  std::string text = "[";
  for (const float coordinate : vector.to_floats()) {
    if (text.size() > 1) text.push_back(',');
    text += shortest(coordinate);
  }
  return text + "]";
}

std::string row_json(const Row& row) {
  std::string text = fmt::format("{{{}", id_json(row.id));
  if (row.vector.dim() > 0) text += fmt::format(",\"vector\":{}", vector_json(row.vector));
  if (!row.payload.empty()) text += fmt::format(",\"payload\":{}", row.payload);
  if (row.ttl_ms) text += fmt::format(",\"ttl_ms\":{}", *row.ttl_ms);
  return text + "}";
}

std::string neighbor_json(const Neighbor& neighbor, bool with_payload) {
  std::string text =
      fmt::format("{{{},\"distance\":{}", id_json(neighbor.id), number_json(neighbor.distance));
  if (neighbor.vector.dim() > 0)
    text += fmt::format(",\"vector\":{}", vector_json(neighbor.vector));
  if (with_payload) {
    text += fmt::format(",\"payload\":{}", neighbor.payload.empty() ? "{}" : neighbor.payload);
  }
  return text + "}";
}

}  // namespace vecserve::vecctl
