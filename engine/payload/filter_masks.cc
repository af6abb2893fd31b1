// The column loops of filters: comparisons with constants, membership in constant lists, and their
// combinations, without a dispatch per row. Driven by filter_eval for each word of 64 rows that has
// an eligible one. Always holds: the answer is that of filter_value for every row; recursion is as
// deep as the parentheses and signs of the text, since chains of `and` and `or` are flattened.
#include "engine/payload/filter_masks.h"

#include <algorithm>
#include <bit>

#include "engine/payload/word_masks.h"

namespace vecserve::engine {
namespace {

using Kind = FieldValue::Kind;

// With fewer rows than this, visiting them one by one beats a loop over the word.
constexpr int kSparseRows = 12;
// Lists up to this long are searched from the front, longer ones by halving.
constexpr std::uint32_t kShortList = 8;

// Bit i is the answer of test(first + i), for the active rows; test must be cheap and without
// effects.
template <typename Test>
std::uint64_t match_each(FilterMasks::Word word, std::uint64_t active, Test test) {
  std::uint64_t mask = 0;
  if (std::popcount(active) < kSparseRows) {
    for (std::uint64_t left = active; left != 0; left &= left - 1) {
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
      mask |= static_cast<std::uint64_t>(test(word.first + bit)) << bit;
    }
    return mask;
  }
  for (std::uint32_t i = 0; i < word.rows; ++i) {
    mask |= static_cast<std::uint64_t>(test(word.first + i)) << i;
  }
  return mask & active;
}

// The same for tests that cost more than a few instructions: active rows only.
template <typename Test>
std::uint64_t match_active(FilterMasks::Word word, std::uint64_t active, Test test) {
  std::uint64_t mask = 0;
  for (std::uint64_t left = active; left != 0; left &= left - 1) {
    const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
    mask |= static_cast<std::uint64_t>(test(word.first + bit)) << bit;
  }
  return mask;
}

NumberTest test_of(FilterOp op) {
  switch (op) {
    case FilterOp::greater:
      return NumberTest::greater;
    case FilterOp::greater_equal:
      return NumberTest::greater_equal;
    case FilterOp::less:
      return NumberTest::less;
    case FilterOp::less_equal:
      return NumberTest::less_equal;
    case FilterOp::not_equal:  // truth of a field: null is stored as 0
      return NumberTest::not_equal;
    default:
      return NumberTest::equal;
  }
}

// Null is stored as the number 0, and is not.
std::uint64_t number_kinds(const ColumnBlock::Column& column, FilterMasks::Word word) {
  return kind_mask(column.kinds + word.first, word.rows, static_cast<std::uint8_t>(Kind::number));
}

std::uint64_t match_compare(FilterMasks::Word word, std::uint64_t active, FilterOp op,
                            const ColumnBlock::Column& column, double constant) {
  const NumberTest test = test_of(op);
  active &= number_mask(column.numbers + word.first, word.rows, test, constant);
  return test != NumberTest::equal || active == 0 ? active : active & number_kinds(column, word);
}

template <typename Value>
bool in_list(const Value* begin, const Value* end, const Value& value) {
  if (end - begin <= kShortList) return std::find(begin, end, value) != end;
  return std::binary_search(begin, end, value);
}

FilterOp mirrored(FilterOp op) {
  switch (op) {
    case FilterOp::greater:
      return FilterOp::less;
    case FilterOp::greater_equal:
      return FilterOp::less_equal;
    case FilterOp::less:
      return FilterOp::greater;
    default:
      return FilterOp::greater_equal;
  }
}

}  // namespace

FilterMasks::FilterMasks(const FilterProgram& program, std::span<const ColumnBlock::Column> columns)
    : program_(program),
      columns_(columns),
      values_(program.fields.size()),
      stack_(program.stack_max) {}

FilterValue FilterMasks::value_at(const ColumnBlock::Column& column, std::uint32_t position) {
  switch (static_cast<Kind>(column.kinds[position])) {
    case Kind::number:
      return FilterValue(column.numbers[position]);
    case Kind::string:
      return FilterValue(column.strings[position]);
    default:
      return {};
  }
}

std::uint32_t FilterMasks::add(const Part& part) {
  parts_.push_back(part);
  return static_cast<std::uint32_t>(parts_.size() - 1);
}

std::uint32_t FilterMasks::negate(std::uint32_t part) {
  Part negation;
  negation.shape = Shape::negation;
  negation.begin = part;
  return add(negation);
}

std::uint32_t FilterMasks::build(std::uint32_t node) {
  const FilterInstruction& here = program_.code[node];
  if (here.constant) {
    Part part;
    part.shape = Shape::constant;
    part.number = is_true(run_node(program_, node, values_, stack_)) ? 1.0 : 0.0;
    return add(part);
  }
  Part part;
  part.op = here.op;
  part.node = node;
  bool known = false;
  switch (here.op) {
    case FilterOp::logical_and:
    case FilterOp::logical_or:
      return build_chain(node, here.op);
    case FilterOp::logical_not:
      return negate(build(FilterProgram::right(node)));
    case FilterOp::field:
      known = build_field(node, part);
      break;
    case FilterOp::greater:
    case FilterOp::greater_equal:
    case FilterOp::less:
    case FilterOp::less_equal:
      known = build_order(node, part);
      break;
    case FilterOp::equal:
    case FilterOp::not_equal:
      known = build_equal(node, part);
      break;
    case FilterOp::in:
      known = build_in(node, part);
      break;
    default:
      break;
  }
  if (!known) return build_row(node);
  const std::uint32_t built = add(part);
  return here.op == FilterOp::not_equal ? negate(built) : built;
}

// `a or b or c` is ((a or b) or c): follows the left side down instead of recursing into it.
std::uint32_t FilterMasks::build_chain(std::uint32_t node, FilterOp op) {
  std::vector<std::uint32_t> nodes;
  while (program_.code[node].op == op) {
    nodes.push_back(FilterProgram::right(node));
    node = program_.left(node);
  }
  nodes.push_back(node);
  std::reverse(nodes.begin(), nodes.end());
  for (std::uint32_t& each : nodes) each = build(each);
  Part chain;
  chain.shape = op == FilterOp::logical_and ? Shape::all_of : Shape::any_of;
  chain.begin = static_cast<std::uint32_t>(children_.size());
  children_.insert(children_.end(), nodes.begin(), nodes.end());
  chain.end = static_cast<std::uint32_t>(children_.size());
  return add(chain);
}

std::uint32_t FilterMasks::build_row(std::uint32_t node) {
  Part part;
  part.shape = Shape::row;
  part.node = node;
  part.begin = static_cast<std::uint32_t>(row_fields_.size());
  for (std::uint32_t i = program_.code[node].begin; i <= node; ++i) {
    if (program_.code[i].op == FilterOp::field) row_fields_.push_back(program_.code[i].operand);
  }
  std::sort(row_fields_.begin() + part.begin, row_fields_.end());
  row_fields_.erase(std::unique(row_fields_.begin() + part.begin, row_fields_.end()),
                    row_fields_.end());
  part.end = static_cast<std::uint32_t>(row_fields_.size());
  return add(part);
}

FilterMasks::Operands FilterMasks::operands(std::uint32_t node) const {
  const FilterInstruction* left = &program_.code[program_.left(node)];
  const FilterInstruction* right = &program_.code[FilterProgram::right(node)];
  const bool swapped = left->op == FilterOp::literal;
  if (swapped) std::swap(left, right);
  if (left->op != FilterOp::field || right->op != FilterOp::literal) return {};
  return {&columns_[left->operand], left->operand, &program_.literals[right->operand], swapped};
}

bool FilterMasks::build_field(std::uint32_t node, Part& part) const {
  part.field = program_.code[node].operand;
  part.shape = columns_[part.field].numbers != nullptr ? Shape::compare : Shape::string_filled;
  part.op = FilterOp::not_equal;  // and number is 0
  return true;
}

bool FilterMasks::build_order(std::uint32_t node, Part& part) const {
  const Operands found = operands(node);
  if (found.column == nullptr || found.column->numbers == nullptr) return false;
  part.shape = Shape::compare;
  if (found.swapped) part.op = mirrored(part.op);
  part.field = found.field;
  part.number = to_number(FilterValue(*found.literal));
  return true;
}

bool FilterMasks::build_equal(std::uint32_t node, Part& part) const {
  const Operands found = operands(node);
  if (found.column == nullptr) return false;
  part.field = found.field;
  const Kind kind = found.literal->kind;
  if (kind == Kind::null) {
    part.shape = Shape::null_value;
  } else if (found.column->numbers != nullptr && kind != Kind::list) {
    part.shape = Shape::compare;
    part.op = FilterOp::equal;
    part.number = to_number(FilterValue(*found.literal));
  } else if (found.column->strings != nullptr && kind == Kind::string) {
    part.shape = Shape::string_equal;
    part.text = found.literal->text;
  } else {
    return false;
  }
  return true;
}

bool FilterMasks::build_in(std::uint32_t node, Part& part) {
  const Operands found = operands(node);
  if (found.column == nullptr || found.swapped || found.literal->kind != Kind::list) return false;
  const std::vector<FieldValue>& items = found.literal->items;
  part.field = found.field;
  if (found.column->numbers != nullptr) {
    part.shape = Shape::number_in;
    part.begin = static_cast<std::uint32_t>(list_numbers_.size());
    for (const FieldValue& item : items) list_numbers_.push_back(to_number(FilterValue(item)));
    std::sort(list_numbers_.begin() + part.begin, list_numbers_.end());
    part.end = static_cast<std::uint32_t>(list_numbers_.size());
    return true;
  }
  // A number in the list would make each string spell a number.
  for (const FieldValue& item : items) {
    if (item.kind != Kind::string) return false;
  }
  part.shape = Shape::string_in;
  part.begin = static_cast<std::uint32_t>(list_texts_.size());
  for (const FieldValue& item : items) list_texts_.emplace_back(item.text);
  std::sort(list_texts_.begin() + part.begin, list_texts_.end());
  part.end = static_cast<std::uint32_t>(list_texts_.size());
  return true;
}

std::uint64_t FilterMasks::match(std::uint32_t index, Word word, std::uint64_t active) {
  const Part& part = parts_[index];
  const ColumnBlock::Column& column = columns_[part.field];
  const std::uint8_t* const kinds = column.kinds;
  const std::string_view* const strings = column.strings;
  const auto is_string = [kinds](std::uint32_t p) {
    return kinds[p] == static_cast<std::uint8_t>(Kind::string);
  };
  switch (part.shape) {
    case Shape::constant:
      return part.number != 0.0 ? active : 0;
    case Shape::all_of:
    case Shape::any_of:
      return match_chain(part, word, active);
    case Shape::negation:
      return active & ~match(part.begin, word, active);
    case Shape::compare:
      return match_compare(word, active, part.op, column, part.number);
    case Shape::number_in: {
      const double* const list = list_numbers_.data();
      return match_active(word, active, [&](std::uint32_t p) {
        return kinds[p] == static_cast<std::uint8_t>(Kind::number) &&
               in_list(list + part.begin, list + part.end, column.numbers[p]);
      });
    }
    case Shape::string_equal:
      return match_active(word, active,
                          [&](std::uint32_t p) { return is_string(p) && strings[p] == part.text; });
    case Shape::string_in: {
      const std::string_view* const list = list_texts_.data();
      return match_active(word, active, [&](std::uint32_t p) {
        return is_string(p) && in_list(list + part.begin, list + part.end, strings[p]);
      });
    }
    case Shape::null_value:
      return active &
             kind_mask(kinds + word.first, word.rows, static_cast<std::uint8_t>(Kind::null));
    case Shape::string_filled:
      return match_each(word, active, [&](std::uint32_t p) { return !strings[p].empty(); });
    case Shape::row:
      return match_row(part, word, active);
  }
  return 0;
}

void FilterMasks::narrow(std::uint32_t index, std::uint32_t rows, std::uint64_t* bits) {
  const Part& part = parts_[index];
  const auto each_word = [&](auto&& mask) {
    for (std::uint32_t first = 0; first < rows; first += 64) {
      std::uint64_t& word = bits[first / 64];
      if (word != 0) word &= mask(Word{first, std::min(64U, rows - first)}, word);
    }
  };
  if (part.shape != Shape::compare) {
    each_word([&](Word word, std::uint64_t active) { return match(index, word, active); });
    return;
  }
  const ColumnBlock::Column& column = columns_[part.field];
  const NumberTest test = test_of(part.op);
  keep_numbers(column.numbers, rows, test, part.number, bits);
  if (test != NumberTest::equal) return;
  each_word([&](Word word, std::uint64_t) { return number_kinds(column, word); });
}

std::uint64_t FilterMasks::match_chain(const Part& part, Word word, std::uint64_t active) {
  const bool all = part.shape == Shape::all_of;
  std::uint64_t open = active;  // rows that the next child must still decide
  for (std::uint32_t i = part.begin; i < part.end && open != 0; ++i) {
    const std::uint64_t matching = match(children_[i], word, open);
    open = all ? matching : open & ~matching;
  }
  return all ? open : active & ~open;
}

std::uint64_t FilterMasks::match_row(const Part& part, Word word, std::uint64_t active) {
  return match_active(word, active, [&](std::uint32_t p) {
    for (std::uint32_t i = part.begin; i < part.end; ++i) {
      const std::uint32_t field = row_fields_[i];
      values_[field] = value_at(columns_[field], p);
    }
    return is_true(run_node(program_, part.node, values_, stack_));
  });
}

}  // namespace vecserve::engine
