// Text of a filter -> FilterProgram: a precedence-climbing parser that emits postfix code. Comes
// after filter_lexer, before filter_eval; runs once per search on the caller's thread. Always
// holds: at most limits::filter_depth_max levels of recursion and limits::filter_nodes_max nodes;
// an error names the byte at which it was found and what was expected there.
//
// The language
//   Values     numbers 7  -0.5  1e3; strings "a" or 'a' with the escapes \" \' \\ \/ \b \f \n \r
//              \t and \uXXXX; lists [1, "a"] of numbers and strings; true and false, which are
//              the numbers 1 and 0; null; and fields.
//   Fields     .name is a top-level field of the row's payload; a name is made of A-Z a-z 0-9 _
//              and - (so `.a-1` is one name, `.a - 1` a difference). A JSON boolean is the number
//              1 or 0.
//   Operators  from the tightest to the loosest; all but ** group from the left:
//                ( )
//                ! not
//                **                        groups from the right
//                * / %
//                + -
//                > >= < <= == != in
//                and &&
//                or ||
//              A minus sign belongs to the number right behind it where a value is expected: -2
//              ** 2 is 4. `not .a == 1` means `(not .a) == 1`; the other is `not (.a == 1)` or
//              `.a != 1`.
//   Match      a row matches when the expression is true: a number other than 0, a string or list
//              that is not empty; null is false.
//   Missing    a field that the payload does not have, or that holds an object or a list of
//              anything but numbers and strings, makes the whole expression false, whatever
//              stands around it: with .a missing, neither `not .a` nor `.b == 1 or .a == 1`
//              matches. Every field of the expression counts: `and` and `or` do not pass over
//              their right side.
//   null       a field that is JSON null is there. It equals null and nothing else.
//   Equality   two strings by their bytes; two lists item by item, a list and another value
//              never; a number and a string by the number that the string spells.
//   Numbers    the other operators take numbers. A string is the number that it spells (sign,
//              digits, fraction, exponent, no more), any other string 0, as are null and lists:
//              strings are not ordered. Results are IEEE doubles: 1 / 0 is infinite; 0 / 0 is
//              NaN, which equals nothing (so of the comparisons only != holds) and is true by
//              itself, not being 0; % is the remainder with the sign of the left side.
//   in         `x in list` holds when x == one of the items, `"b" in "abc"` when the right string
//              contains the left one; anything else is false.
//   Truth      `and`, `or`, `not` and the comparisons give 1 or 0.
#include "engine/payload/filter.h"

#include <algorithm>
#include <new>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "engine/base/limits.h"
#include "engine/payload/filter_lexer.h"
#include "engine/payload/filter_program.h"

namespace vecserve::engine {
namespace {

// How tightly a binary operator holds its operands.
constexpr int kLoosest = 1;
int binding(FilterOp op) {
  switch (op) {
    case FilterOp::logical_or:
      return kLoosest;
    case FilterOp::logical_and:
      return 2;
    case FilterOp::add:
    case FilterOp::subtract:
      return 4;
    case FilterOp::multiply:
    case FilterOp::divide:
    case FilterOp::modulo:
      return 5;
    case FilterOp::power:
      return 6;
    default:
      return 3;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Status parse(FilterProgram& program) {
    program_ = &program;
    VECSERVE_TRY(advance());
    VECSERVE_TRY(expression(kLoosest));
    if (token_.kind != TokenKind::end) return expected("an operator or the end");
    sort_fields();
    return {};
  }

 private:
  Status advance() { return lexer_.next(token_); }

  Status expected(std::string_view what) const {
    constexpr std::size_t kShown = 24;
    std::string found = "the end";
    if (token_.kind != TokenKind::end) {
      found = lexer_.text().substr(token_.begin, std::min(token_.end - token_.begin, kShown));
    }
    return filter_error(token_.begin, "expected " + std::string(what) + ", found " + found);
  }

  Status deeper() {
    if (++depth_ <= limits::filter_depth_max) return {};
    return filter_error(token_.begin,
                        "nested deeper than " + std::to_string(limits::filter_depth_max));
  }

  Status count_node() {
    if (++nodes_ <= limits::filter_nodes_max) return {};
    return filter_error(token_.begin, "more than " + std::to_string(limits::filter_nodes_max) +
                                          " operators and operands");
  }

  // An expression of operators that bind at least as tightly as `loosest`.
  Status expression(int loosest) {
    VECSERVE_TRY(unary());
    while (token_.kind == TokenKind::binary && binding(token_.op) >= loosest) {
      const FilterOp op = token_.op;
      VECSERVE_TRY(advance());
      if (op == FilterOp::power) {
        VECSERVE_TRY(deeper());
        VECSERVE_TRY(expression(binding(op)));
        --depth_;
      } else {
        VECSERVE_TRY(expression(binding(op) + 1));
      }
      VECSERVE_TRY(emit_binary(op));
    }
    return {};
  }

  Status unary() {
    if (token_.kind != TokenKind::logical_not) return value();
    VECSERVE_TRY(deeper());
    VECSERVE_TRY(advance());
    VECSERVE_TRY(unary());
    --depth_;
    VECSERVE_TRY(count_node());
    const FilterInstruction& below = program_->code.back();
    program_->code.push_back({FilterOp::logical_not, below.constant, 0, below.begin});
    return {};
  }

  Status value() {
    switch (token_.kind) {
      case TokenKind::open:
        return group();
      case TokenKind::open_list:
        return list();
      case TokenKind::field:
        VECSERVE_TRY(emit_operand(FilterOp::field, field_index(std::move(token_.text))));
        return advance();
      default: {
        FieldValue literal;
        VECSERVE_TRY(scalar(literal, "a value"));
        return emit_literal(std::move(literal));
      }
    }
  }

  Status group() {
    VECSERVE_TRY(deeper());
    VECSERVE_TRY(advance());
    VECSERVE_TRY(expression(kLoosest));
    if (token_.kind != TokenKind::close) return expected("an operator or )");
    --depth_;
    return advance();
  }

  // A number, string or null; the token behind it becomes the current one.
  Status scalar(FieldValue& out, std::string_view wanted) {
    const bool minus = token_.kind == TokenKind::binary && token_.op == FilterOp::subtract;
    if (minus) VECSERVE_TRY(lexer_.join_sign(token_));
    switch (token_.kind) {
      case TokenKind::number:
        out.kind = FieldValue::Kind::number;
        out.number = token_.number;
        return advance();
      case TokenKind::string:
        out.kind = FieldValue::Kind::string;
        out.text = std::move(token_.text);
        return advance();
      case TokenKind::null:
        out.kind = FieldValue::Kind::null;
        return advance();
      default:
        return expected(wanted);
    }
  }

  Status list() {
    FieldValue list;
    list.kind = FieldValue::Kind::list;
    VECSERVE_TRY(advance());
    while (token_.kind != TokenKind::close_list) {
      if (!list.items.empty()) {
        if (token_.kind != TokenKind::comma) return expected(", or ]");
        VECSERVE_TRY(advance());
      }
      const std::string_view wanted =
          list.items.empty() ? "a number, a string or ]" : "a number or a string";
      if (token_.kind == TokenKind::null) return expected(wanted);
      VECSERVE_TRY(count_node());
      VECSERVE_TRY(scalar(list.items.emplace_back(), wanted));
    }
    VECSERVE_TRY(emit_literal(std::move(list)));
    return advance();
  }

  std::uint32_t field_index(std::string name) {
    const auto next = static_cast<std::uint32_t>(program_->fields.size());
    const auto [at, fresh] = field_of_.try_emplace(std::move(name), next);
    if (fresh) program_->fields.push_back(at->first);
    return at->second;
  }

  Status emit_literal(FieldValue literal) {
    program_->literals.push_back(std::move(literal));
    return emit_operand(FilterOp::literal,
                        static_cast<std::uint32_t>(program_->literals.size() - 1));
  }

  Status emit_operand(FilterOp op, std::uint32_t operand) {
    VECSERVE_TRY(count_node());
    const auto here = static_cast<std::uint32_t>(program_->code.size());
    program_->code.push_back({op, op == FilterOp::literal, operand, here});
    program_->stack_max = std::max(program_->stack_max, ++stack_);
    return {};
  }

  Status emit_binary(FilterOp op) {
    VECSERVE_TRY(count_node());
    const FilterInstruction right = program_->code.back();
    const FilterInstruction left = program_->code[right.begin - 1];
    program_->code.push_back({op, left.constant && right.constant, 0, left.begin});
    --stack_;
    return {};
  }

  // Names in byte order let readers of JSON search them.
  void sort_fields() {
    std::vector<std::string>& fields = program_->fields;
    std::vector<std::uint32_t> order(fields.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&fields](std::uint32_t a, std::uint32_t b) { return fields[a] < fields[b]; });
    std::vector<std::uint32_t> place(fields.size());
    std::vector<std::string> sorted(fields.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) {
      place[order[i]] = i;
      sorted[i] = std::move(fields[order[i]]);
    }
    fields = std::move(sorted);
    for (FilterInstruction& instruction : program_->code) {
      if (instruction.op == FilterOp::field) instruction.operand = place[instruction.operand];
    }
  }

  FilterLexer lexer_;
  FilterToken token_;
  FilterProgram* program_ = nullptr;
  std::unordered_map<std::string, std::uint32_t> field_of_;
  std::uint32_t depth_ = 0;
  std::uint32_t nodes_ = 0;
  std::uint32_t stack_ = 0;
};

}  // namespace

Result<Filter> Filter::parse(std::string_view text) {
  try {
    if (text.size() > limits::filter_bytes_max) {
      return Status::invalid_argument(
          "filter", "longer than " + std::to_string(limits::filter_bytes_max) + " bytes");
    }
    auto program = std::make_shared<FilterProgram>();
    VECSERVE_TRY(Parser(text).parse(*program));
    return Filter(std::move(program));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::resource_exhausted, "out of memory while parsing", "filter");
  }
}

}  // namespace vecserve::engine
