// Filter::evaluate and matches: decides which fields of the program are columns of the block, drops
// rows that lack one, lets filter_masks answer for the columns, and reads the JSON of the rows that
// are left when a field is not declared. Runs on the searching thread, once per block. Always
// holds: a word without eligible rows is never looked at; JSON is read at most once per row.
#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/payload/filter.h"
#include "engine/payload/filter_masks.h"
#include "engine/payload/filter_program.h"
#include "engine/payload/filter_value.h"
#include "engine/payload/word_masks.h"

namespace vecserve::engine {
namespace {

// The fields of a program that no column holds, for rows one by one.
class JsonSide {
 public:
  JsonSide(const FilterProgram& program, std::vector<std::uint32_t> fields)
      : program_(program),
        fields_(std::move(fields)),
        found_(fields_.size()),
        values_(program.fields.size()),
        stack_(program.stack_max) {
    names_.reserve(fields_.size());
    for (const std::uint32_t field : fields_) names_.emplace_back(program.fields[field]);
  }

  // A part of the expression that uses one of the fields; all added parts must be true.
  void add(std::uint32_t node) { nodes_.push_back(node); }
  // A field that a column holds.
  void set(std::uint32_t field, const FilterValue& value) { values_[field] = value; }

  [[nodiscard]] bool read(std::string_view text) {
    if (!read_fields(text, names_, found_)) return false;
    for (std::size_t i = 0; i < fields_.size(); ++i) values_[fields_[i]] = FilterValue(found_[i]);
    return true;
  }

  [[nodiscard]] bool is_match() {
    return std::all_of(nodes_.begin(), nodes_.end(), [this](std::uint32_t node) {
      return is_true(run_node(program_, node, values_, stack_));
    });
  }

 private:
  const FilterProgram& program_;
  std::vector<std::uint32_t> fields_;  // rising, so their names are in byte order
  std::vector<std::string_view> names_;
  std::vector<FieldValue> found_;
  std::vector<std::uint32_t> nodes_;
  std::vector<FilterValue> values_;
  std::vector<FilterValue> stack_;
};

// The parts that the top level of the expression joins with `and`.
std::vector<std::uint32_t> conjuncts(const FilterProgram& program) {
  std::vector<std::uint32_t> nodes;
  std::uint32_t node = program.root();
  while (program.code[node].op == FilterOp::logical_and) {
    nodes.push_back(FilterProgram::right(node));
    node = program.left(node);
  }
  nodes.push_back(node);
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

// One program over one block.
class BlockFilter {
 public:
  BlockFilter(const FilterProgram& program, const ColumnBlock& block)
      : program_(program),
        block_(block),
        columns_(program.fields.size()),
        masks_(program, columns_),
        json_(program, find_columns()) {
    if (lacking_) return;
    if (undeclared_ == 0) {
      parts_.push_back(masks_.build(program.root()));
      return;
    }
    for (const std::uint32_t node : conjuncts(program)) {
      if (needs_json(node)) {
        json_.add(node);
      } else {
        parts_.push_back(masks_.build(node));
      }
    }
  }

  // A declared field that no row of the block has: nothing can match.
  [[nodiscard]] bool lacking() const { return lacking_; }

  [[nodiscard]] std::uint64_t match(FilterMasks::Word word, std::uint64_t active) {
    for (const std::uint32_t field : declared_) {
      active &= present_mask(columns_[field].kinds + word.first, word.rows);
    }
    for (std::size_t i = 0; i < parts_.size() && active != 0; ++i) {
      active = masks_.match(parts_[i], word, active);
    }
    return undeclared_ == 0 ? active : match_json(word, active);
  }

 private:
  // Fills columns_; returns the fields that are not declared.
  std::vector<std::uint32_t> find_columns() {
    std::vector<std::uint32_t> others;
    const FieldList declared = block_.fields();
    for (std::uint32_t f = 0; f < program_.fields.size(); ++f) {
      std::uint32_t index = 0;
      while (index < declared.size() && declared[index].name != program_.fields[f]) ++index;
      if (index == declared.size()) {
        others.push_back(f);
        continue;
      }
      columns_[f] = block_.column(index);
      if (columns_[f].kinds == nullptr) lacking_ = true;
      declared_.push_back(f);
    }
    undeclared_ = others.size();
    return others;
  }

  [[nodiscard]] bool needs_json(std::uint32_t node) const {
    for (std::uint32_t i = program_.code[node].begin; i <= node; ++i) {
      const FilterInstruction& at = program_.code[i];
      if (at.op == FilterOp::field && columns_[at.operand].kinds == nullptr) return true;
    }
    return false;
  }

  std::uint64_t match_json(FilterMasks::Word word, std::uint64_t active) {
    std::uint64_t mask = 0;
    for (; active != 0; active &= active - 1) {
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(active));
      const std::uint32_t position = word.first + bit;
      if (!json_.read(block_.text(position))) continue;
      for (const std::uint32_t field : declared_) {
        json_.set(field, FilterMasks::value_at(columns_[field], position));
      }
      mask |= std::uint64_t{json_.is_match()} << bit;
    }
    return mask;
  }

  const FilterProgram& program_;
  const ColumnBlock& block_;
  // find_columns() fills these while json_ is made, so they stand before it.
  bool lacking_ = false;
  std::size_t undeclared_ = 0;
  std::vector<std::uint32_t> declared_;
  std::vector<ColumnBlock::Column> columns_;  // per field; kinds is null when it is not declared
  FilterMasks masks_;
  JsonSide json_;
  std::vector<std::uint32_t> parts_;
};

bool matches_text(const FilterProgram& program, std::string_view payload) {
  std::vector<std::uint32_t> fields(program.fields.size());
  for (std::uint32_t f = 0; f < fields.size(); ++f) fields[f] = f;
  JsonSide json(program, std::move(fields));
  json.add(program.root());
  return json.read(payload) && json.is_match();
}

}  // namespace

std::uint32_t Filter::evaluate(const ColumnBlock* block, std::uint32_t count,
                               const std::uint64_t* eligible, std::uint64_t* out) const {
  const std::uint32_t words = (count + 63) / 64;
  const auto word_at = [count](std::uint32_t w) {
    return FilterMasks::Word{w * 64, std::min<std::uint32_t>(64, count - w * 64)};
  };
  const auto eligible_in = [&](std::uint32_t w) {
    const std::uint32_t rows = word_at(w).rows;
    return rows == 64 ? eligible[w] : eligible[w] & ((std::uint64_t{1} << rows) - 1);
  };
  // Without fields, or without payloads, all rows are alike.
  if (block == nullptr || program_->fields.empty()) {
    const bool all = matches_text(*program_, {});
    for (std::uint32_t w = 0; w < words; ++w) {
      out[w] = all ? eligible_in(w) : 0;
    }
    return count_bits(out, words);
  }
  BlockFilter filter(*program_, *block);
  for (std::uint32_t w = 0; w < words; ++w) {
    const std::uint64_t active = filter.lacking() ? 0 : eligible_in(w);
    out[w] = active == 0 ? 0 : filter.match(word_at(w), active);
  }
  return count_bits(out, words);
}

bool Filter::matches(std::string_view payload) const {
  return matches_text(*program_, payload);
}

}  // namespace vecserve::engine
