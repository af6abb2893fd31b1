// The values of the filter language and the row interpreter: a loop over postfix code with a stack
// of values. Runs for rows that no column loop can decide. Any thread, no allocation. Always holds:
// numbers follow IEEE doubles, so that comparisons with NaN are false but for `!=`.
#include "engine/payload/filter_value.h"

#include <charconv>
#include <cmath>

#include "engine/base/check.h"

namespace vecserve::engine {

using Kind = FieldValue::Kind;

double parse_number(std::string_view text) {
  const std::size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  // from_chars would also take "inf" and "nan", and no plus sign.
  const bool digit = text.size() > sign && text[sign] >= '0' && text[sign] <= '9';
  const bool point = text.size() > sign && text[sign] == '.';
  if (!digit && !point) return 0.0;
  double value = 0.0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + sign, end, value);
  if (error != std::errc() || stop != end) return 0.0;
  return text[0] == '-' ? -value : value;
}

double to_number(const FilterValue& value) {
  switch (value.kind) {
    case Kind::number:
      return value.number;
    case Kind::string:
      return parse_number(value.text);
    case Kind::missing:
    case Kind::null:
    case Kind::list:
      return 0.0;
  }
  return 0.0;
}

bool is_true(const FilterValue& value) {
  switch (value.kind) {
    case Kind::number:
      return value.number != 0.0;
    case Kind::string:
      return !value.text.empty();
    case Kind::list:
      return !value.items.empty();
    case Kind::missing:
    case Kind::null:
      return false;
  }
  return false;
}

bool is_equal(const FilterValue& a, const FilterValue& b) {
  if (a.kind == Kind::string && b.kind == Kind::string) return a.text == b.text;
  if (a.kind == Kind::null || b.kind == Kind::null) return a.kind == b.kind;
  if (a.kind == Kind::list || b.kind == Kind::list) {
    if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i) {
      // Items are numbers and strings, so this goes one level deep.
      if (!is_equal(FilterValue(a.items[i]), FilterValue(b.items[i]))) return false;
    }
    return true;
  }
  return to_number(a) == to_number(b);
}

bool is_in(const FilterValue& needle, const FilterValue& hay) {
  if (hay.kind == Kind::list) {
    for (const FieldValue& item : hay.items) {
      if (is_equal(needle, FilterValue(item))) return true;
    }
    return false;
  }
  if (hay.kind != Kind::string || needle.kind != Kind::string) return false;
  return hay.text.find(needle.text) != std::string_view::npos;
}

FilterValue apply_binary(FilterOp op, const FilterValue& a, const FilterValue& b) {
  const auto truth = [](bool value) { return FilterValue(value ? 1.0 : 0.0); };
  switch (op) {
    case FilterOp::power:
      return FilterValue(std::pow(to_number(a), to_number(b)));
    case FilterOp::multiply:
      return FilterValue(to_number(a) * to_number(b));
    case FilterOp::divide:
      return FilterValue(to_number(a) / to_number(b));
    case FilterOp::modulo:
      return FilterValue(std::fmod(to_number(a), to_number(b)));
    case FilterOp::add:
      return FilterValue(to_number(a) + to_number(b));
    case FilterOp::subtract:
      return FilterValue(to_number(a) - to_number(b));
    case FilterOp::greater:
      return truth(to_number(a) > to_number(b));
    case FilterOp::greater_equal:
      return truth(to_number(a) >= to_number(b));
    case FilterOp::less:
      return truth(to_number(a) < to_number(b));
    case FilterOp::less_equal:
      return truth(to_number(a) <= to_number(b));
    case FilterOp::equal:
      return truth(is_equal(a, b));
    case FilterOp::not_equal:
      return truth(!is_equal(a, b));
    case FilterOp::in:
      return truth(is_in(a, b));
    case FilterOp::logical_and:
      return truth(is_true(a) && is_true(b));
    case FilterOp::logical_or:
      return truth(is_true(a) || is_true(b));
    case FilterOp::literal:
    case FilterOp::field:
    case FilterOp::logical_not:
      break;
  }
  VECSERVE_CHECK(false && "not a binary operator");
}

FilterValue run_node(const FilterProgram& program, std::uint32_t node,
                     std::span<const FilterValue> fields, std::span<FilterValue> stack) {
  std::size_t top = 0;  // values on the stack
  for (std::uint32_t i = program.code[node].begin; i <= node; ++i) {
    const FilterInstruction& instruction = program.code[i];
    switch (instruction.op) {
      case FilterOp::literal:
        stack[top++] = FilterValue(program.literals[instruction.operand]);
        break;
      case FilterOp::field:
        stack[top++] = fields[instruction.operand];
        break;
      case FilterOp::logical_not:
        stack[top - 1] = FilterValue(is_true(stack[top - 1]) ? 0.0 : 1.0);
        break;
      default:
        stack[top - 2] = apply_binary(instruction.op, stack[top - 2], stack[top - 1]);
        --top;
        break;
    }
  }
  VECSERVE_DCHECK(top == 1);
  return stack[0];
}

}  // namespace vecserve::engine
