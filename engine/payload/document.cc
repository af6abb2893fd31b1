// The JSON of a row, over simdjson's on-demand parser. Called by writes (check_payload, which walks
// every value so that nothing invalid is ever stored) and by filters on undeclared fields
// (read_fields, which trusts what was checked and stops as soon as it can). Any thread; each has
// its own parser and buffer. Always holds: the parser sees a private padded copy, never memory that
// a writer may be appending to; a large payload leaves no large buffer behind.
#include "engine/payload/document.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "engine/base/limits.h"

namespace vecserve::engine {
namespace {

namespace od = simdjson::ondemand;

// Buffers of up to this many bytes are kept per thread; the parser takes about ten times as much.
constexpr std::size_t kKeptBytes = std::size_t{32} << 10;
constexpr std::size_t kFirstBytes = std::size_t{1} << 10;
// Below this many names comparing each pair is cheaper than sorting them.
constexpr std::size_t kPairwiseNames = 16;

// The parser and the padded copy of one thread.
class Scratch {
 public:
  // Copies the text and finds its structure, which checks UTF-8 and the quotes. May throw
  // std::bad_alloc.
  [[nodiscard]] simdjson::error_code open(std::string_view text, od::document& document) {
    if (text.size() > capacity_) grow(text.size());
    std::memcpy(buffer_.get(), text.data(), text.size());
    std::memset(buffer_.get() + text.size(), 0, simdjson::SIMDJSON_PADDING);
    const std::size_t padded = text.size() + simdjson::SIMDJSON_PADDING;
    const auto error = parser_.iterate(buffer_.get(), text.size(), padded).get(document);
    // The parser's own allocations, told apart from a text that is wrong.
    if (error == simdjson::MEMALLOC) throw std::bad_alloc();
    return error;
  }

  // Gives large buffers back; call when the document is done with.
  void release() {
    if (capacity_ <= kKeptBytes) return;
    buffer_.reset();
    capacity_ = 0;
    parser_ = od::parser();
  }

  std::vector<std::string_view> names;  // the top-level names of the payload being checked

 private:
  void grow(std::size_t bytes) {
    const std::size_t wanted = std::max({bytes, capacity_ * 2, kFirstBytes});
    buffer_ = std::make_unique<char[]>(wanted + simdjson::SIMDJSON_PADDING);
    capacity_ = wanted;
  }

  od::parser parser_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
};

Scratch& thread_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

// Releases when a call ends, however it ends.
class ScratchUse {
 public:
  ScratchUse() : scratch_(thread_scratch()) {}
  ~ScratchUse() {
    if (scratch_.names.capacity() > kKeptBytes / sizeof(std::string_view)) {
      std::vector<std::string_view>().swap(scratch_.names);
    }
    scratch_.release();
  }
  ScratchUse(const ScratchUse&) = delete;
  ScratchUse& operator=(const ScratchUse&) = delete;
  Scratch* operator->() { return &scratch_; }

 private:
  Scratch& scratch_;
};

void clear(FieldValue& value) {
  value.kind = FieldValue::Kind::missing;
  value.number = 0.0;
  value.text.clear();
  value.items.clear();
}

// What is wrong with a payload, as a sentence; null when nothing is.
using Fault = const char*;

constexpr Fault kNumberFault = "a number is malformed or too large for a double";
constexpr Fault kStringFault = "a string has an invalid escape";
constexpr Fault kLiteralFault = "expected true, false or null";
constexpr Fault kSyntaxFault = "not valid JSON";
constexpr Fault kDepthFault = "nested too deep (at most 64 levels)";
static_assert(limits::payload_depth_max == 64, "kDepthFault names the limit");

Fault fault_of(simdjson::error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR:
      return "not valid UTF-8";
    case simdjson::UNCLOSED_STRING:
      return "a string is not closed";
    case simdjson::UNESCAPED_CHARS:
      return "a string holds a control character that is not escaped";
    case simdjson::EMPTY:
      return "expected a JSON object";
    default:
      return kSyntaxFault;
  }
}

Fault walk_string(od::value& value, std::string_view& text) {
  return value.get_string().get(text) == simdjson::SUCCESS ? nullptr : kStringFault;
}

Fault walk_literal(od::value& value, bool is_null) {
  if (is_null) {
    bool null = false;
    const auto error = simdjson::simdjson_result<bool>(value.is_null()).get(null);
    return error == simdjson::SUCCESS && null ? nullptr : kLiteralFault;
  }
  bool flag = false;
  return value.get_bool().get(flag) == simdjson::SUCCESS ? nullptr : kLiteralFault;
}

// Visits every value below `value`, so that everything that a later reader could meet is valid.
// `depth` is the level of a container at this place.
Fault walk(od::value value, std::uint32_t depth);

Fault walk_object(od::value& value, std::uint32_t depth) {
  od::object object;
  if (const auto error = value.get_object().get(object)) return fault_of(error);
  for (auto each : object) {
    od::field field;
    if (const auto error = std::move(each).get(field)) return fault_of(error);
    std::string_view name;
    if (field.unescaped_key().get(name) != simdjson::SUCCESS) return kStringFault;
    if (const Fault fault = walk(field.value(), depth + 1)) return fault;
  }
  return nullptr;
}

Fault walk_array(od::value& value, std::uint32_t depth) {
  od::array array;
  if (const auto error = value.get_array().get(array)) return fault_of(error);
  for (auto each : array) {
    od::value item;
    if (const auto error = std::move(each).get(item)) return fault_of(error);
    if (const Fault fault = walk(item, depth + 1)) return fault;
  }
  return nullptr;
}

Fault walk(od::value value, std::uint32_t depth) {
  od::json_type type{};
  if (const auto error = value.type().get(type)) return fault_of(error);
  switch (type) {
    case od::json_type::object:
      return depth > limits::payload_depth_max ? kDepthFault : walk_object(value, depth);
    case od::json_type::array:
      return depth > limits::payload_depth_max ? kDepthFault : walk_array(value, depth);
    case od::json_type::number: {
      double number = 0.0;
      return value.get_double().get(number) == simdjson::SUCCESS ? nullptr : kNumberFault;
    }
    case od::json_type::string: {
      std::string_view text;
      return walk_string(value, text);
    }
    case od::json_type::boolean:
      return walk_literal(value, false);
    case od::json_type::null:
      return walk_literal(value, true);
  }
  return kSyntaxFault;
}

bool is_declared_type(od::json_type type, FieldType declared) {
  switch (declared) {
    case FieldType::number:
      return type == od::json_type::number;
    case FieldType::string:
      return type == od::json_type::string;
    case FieldType::boolean:
      return type == od::json_type::boolean;
  }
  return false;
}

const char* type_name(FieldType type) {
  switch (type) {
    case FieldType::number:
      return "a number";
    case FieldType::string:
      return "a string";
    case FieldType::boolean:
      return "true or false";
  }
  return "";
}

Status payload_fault(const char* what) {
  return Status::invalid_argument("payload", what);
}

// Reads a value that must be of its declared type or null, and leaves it in `out`.
Status check_declared(od::value value, const FieldOptions& declared, FieldValue& out) {
  od::json_type type{};
  if (const auto error = value.type().get(type)) return payload_fault(fault_of(error));
  Fault fault = nullptr;
  if (type == od::json_type::null) {
    fault = walk_literal(value, true);
    out.kind = FieldValue::Kind::null;
  } else if (!is_declared_type(type, declared.type)) {
    return Status::invalid_argument(
        "payload." + declared.name,
        std::string("declared to hold ") + type_name(declared.type) + " or null");
  } else if (type == od::json_type::string) {
    std::string_view text;
    fault = walk_string(value, text);
    out.kind = FieldValue::Kind::string;
    out.text.assign(text);
  } else if (type == od::json_type::number) {
    fault = value.get_double().get(out.number) == simdjson::SUCCESS ? nullptr : kNumberFault;
    out.kind = FieldValue::Kind::number;
  } else {
    bool flag = false;
    fault = value.get_bool().get(flag) == simdjson::SUCCESS ? nullptr : kLiteralFault;
    out.kind = FieldValue::Kind::number;
    out.number = flag ? 1.0 : 0.0;
  }
  if (fault != nullptr) return Status::invalid_argument("payload." + declared.name, fault);
  return {};
}

Status check_unique(std::vector<std::string_view>& names) {
  bool twice = false;
  if (names.size() <= kPairwiseNames) {
    for (std::size_t i = 1; i < names.size() && !twice; ++i) {
      const auto here = names.begin() + static_cast<std::ptrdiff_t>(i);
      twice = std::find(names.begin(), here, names[i]) != here;
    }
  } else {
    std::sort(names.begin(), names.end());
    twice = std::adjacent_find(names.begin(), names.end()) != names.end();
  }
  return twice ? payload_fault("a name comes twice in the object") : Status();
}

Status check_text(std::string_view text, FieldList declared, std::vector<FieldValue>& fields) {
  ScratchUse scratch;
  scratch->names.clear();
  od::document document;
  if (const auto error = scratch->open(text, document)) return payload_fault(fault_of(error));
  od::json_type type{};
  if (document.type().get(type) != simdjson::SUCCESS || type != od::json_type::object) {
    return payload_fault("expected a JSON object");
  }
  od::object object;
  if (const auto error = document.get_object().get(object)) return payload_fault(fault_of(error));
  for (auto each : object) {
    od::field field;
    if (const auto error = std::move(each).get(field)) return payload_fault(fault_of(error));
    std::string_view name;
    if (field.unescaped_key().get(name) != simdjson::SUCCESS) return payload_fault(kStringFault);
    scratch->names.push_back(name);
    std::size_t index = 0;
    while (index < declared.size() && declared[index].name != name) ++index;
    if (index < declared.size()) {
      VECSERVE_TRY(check_declared(field.value(), declared[index], fields[index]));
    } else if (const Fault fault = walk(field.value(), 2)) {
      return payload_fault(fault);
    }
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return payload_fault("something follows the JSON object");
  }
  return check_unique(scratch->names);
}

// A list has a value only when all its items are numbers and strings.
void read_list(od::value& value, FieldValue& out) {
  od::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return;
  for (auto each : array) {
    od::value item;
    od::json_type type{};
    if (std::move(each).get(item) != simdjson::SUCCESS) return clear(out);
    if (item.type().get(type) != simdjson::SUCCESS) return clear(out);
    FieldValue& entry = out.items.emplace_back();
    std::string_view text;
    if (type == od::json_type::number) {
      entry.kind = FieldValue::Kind::number;
      if (item.get_double().get(entry.number) != simdjson::SUCCESS) return clear(out);
    } else if (type == od::json_type::string) {
      entry.kind = FieldValue::Kind::string;
      if (item.get_string().get(text) != simdjson::SUCCESS) return clear(out);
      entry.text.assign(text);
    } else {
      return clear(out);
    }
  }
  out.kind = FieldValue::Kind::list;
}

// Anything unexpected leaves `out` missing: the text was checked when it was written.
void read_value(od::value value, FieldValue& out) {
  od::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return;
  std::string_view text;
  bool flag = false;
  switch (type) {
    case od::json_type::number:
      if (value.get_double().get(out.number) != simdjson::SUCCESS) return clear(out);
      out.kind = FieldValue::Kind::number;
      return;
    case od::json_type::string:
      if (value.get_string().get(text) != simdjson::SUCCESS) return;
      out.text.assign(text);
      out.kind = FieldValue::Kind::string;
      return;
    case od::json_type::boolean:
      if (value.get_bool().get(flag) != simdjson::SUCCESS) return;
      out.number = flag ? 1.0 : 0.0;
      out.kind = FieldValue::Kind::number;
      return;
    case od::json_type::null:
      out.kind = FieldValue::Kind::null;
      return;
    case od::json_type::array:
      return read_list(value, out);
    case od::json_type::object:
      return;
  }
}

std::size_t find_name(std::span<const std::string_view> names, std::string_view name) {
  if (names.size() <= kPairwiseNames) {
    std::size_t index = 0;
    while (index < names.size() && names[index] != name) ++index;
    return index;
  }
  const auto at = std::lower_bound(names.begin(), names.end(), name);
  const bool found = at != names.end() && *at == name;
  return found ? static_cast<std::size_t>(at - names.begin()) : names.size();
}

}  // namespace

Status check_payload(std::string_view text, FieldList declared, std::vector<FieldValue>& fields) {
  try {
    fields.resize(declared.size());
    for (FieldValue& field : fields) clear(field);
    if (text.empty()) return {};
    if (text.size() > limits::payload_bytes_max) {
      return payload_fault("too large (at most 1,048,576 bytes)");
    }
    return check_text(text, declared, fields);
  } catch (const std::bad_alloc&) {
    return {StatusCode::resource_exhausted, "out of memory while checking a payload", "payload"};
  }
}

bool read_fields(std::string_view text, std::span<const std::string_view> sorted_names,
                 std::span<FieldValue> values) {
  if (sorted_names.empty()) return true;
  if (text.empty()) return false;
  ScratchUse scratch;
  od::document document;
  od::object object;
  if (scratch->open(text, document) != simdjson::SUCCESS) return false;
  if (document.get_object().get(object) != simdjson::SUCCESS) return false;
  std::size_t found = 0;
  for (auto each : object) {
    od::field field;
    std::string_view name;
    if (std::move(each).get(field) != simdjson::SUCCESS) return false;
    if (field.unescaped_key().get(name) != simdjson::SUCCESS) return false;
    const std::size_t index = find_name(sorted_names, name);
    if (index == sorted_names.size()) continue;
    clear(values[index]);
    read_value(field.value(), values[index]);
    if (values[index].kind == FieldValue::Kind::missing) return false;
    if (++found == sorted_names.size()) return true;
  }
  return false;
}

FieldValue read_field(std::string_view text, std::string_view name) {
  FieldValue value;
  if (!read_fields(text, {&name, 1}, {&value, 1})) clear(value);
  return value;
}

}  // namespace vecserve::engine
