// FilterRun, Filter::evaluate and matches: decides which fields of the program are columns of the
// blocks, lets filter_masks answer for the columns, drops rows that lack one, and reads the JSON of
// the rows that are left when a field is not declared. Runs on the searching thread, once per
// block. Always holds: a word without eligible rows is never looked at; JSON is read at most once
// per row.
#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

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
  void clear() { nodes_.clear(); }
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

bool matches_text(const FilterProgram& program, std::string_view payload) {
  std::vector<std::uint32_t> fields(program.fields.size());
  for (std::uint32_t f = 0; f < fields.size(); ++f) fields[f] = f;
  JsonSide json(program, std::move(fields));
  json.add(program.root());
  return json.read(payload) && json.is_match();
}

}  // namespace

// One program over blocks that declare the same fields.
class FilterRun::Fields {
 public:
  Fields(const FilterProgram& program, FieldList declared)
      : program_(program),
        declared_(declared),
        columns_(program.fields.size()),
        masks_(program, columns_),
        json_(program, find_fields()) {}

  [[nodiscard]] bool same(FieldList declared) const {
    return declared.data() == declared_.data() && declared.size() == declared_.size();
  }

  // Goes on with this block. False: no row of it has one of the declared fields, so none matches.
  [[nodiscard]] bool bind(const ColumnBlock& block) {
    for (const Declared& field : used_) {
      columns_[field.in_program] = block.column(field.in_block);
      if (columns_[field.in_program].kinds == nullptr) return false;
    }
    block_ = &block;
    if (!built_) build();
    return true;
  }

  // Clears the bits of the rows [0, count) of the block that do not match.
  void narrow(std::uint32_t count, std::uint64_t* bits) {
    for (const std::uint32_t part : parts_) masks_.narrow(part, count, bits);
    for (const Declared& field : used_) {
      keep_present(columns_[field.in_program].kinds, count, bits);
    }
    if (used_.size() == program_.fields.size()) return;
    for (std::uint32_t w = 0; w < (count + 63) / 64; ++w) bits[w] = match_json(w * 64, bits[w]);
  }

 private:
  struct Declared {
    std::uint32_t in_program = 0;
    std::uint32_t in_block = 0;
  };

  // Fills used_; returns the fields that are not declared.
  std::vector<std::uint32_t> find_fields() {
    std::vector<std::uint32_t> others;
    for (std::uint32_t f = 0; f < program_.fields.size(); ++f) {
      std::uint32_t index = 0;
      while (index < declared_.size() && declared_[index].name != program_.fields[f]) ++index;
      if (index == declared_.size()) {
        others.push_back(f);
      } else {
        used_.push_back({f, index});
      }
    }
    return others;
  }

  // The columns are those of the first block that has all: their types are those of all blocks.
  void build() {
    parts_.clear();
    json_.clear();
    for (const std::uint32_t node : conjuncts(program_)) {
      if (needs_json(node)) {
        json_.add(node);
      } else {
        parts_.push_back(masks_.build(node));
      }
    }
    built_ = true;
  }

  [[nodiscard]] bool needs_json(std::uint32_t node) const {
    for (std::uint32_t i = program_.code[node].begin; i <= node; ++i) {
      const FilterInstruction& at = program_.code[i];
      if (at.op == FilterOp::field && columns_[at.operand].kinds == nullptr) return true;
    }
    return false;
  }

  std::uint64_t match_json(std::uint32_t first, std::uint64_t active) {
    std::uint64_t mask = 0;
    for (; active != 0; active &= active - 1) {
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(active));
      const std::uint32_t position = first + bit;
      if (!json_.read(block_->text(position))) continue;
      for (const Declared& field : used_) {
        json_.set(field.in_program, FilterMasks::value_at(columns_[field.in_program], position));
      }
      mask |= std::uint64_t{json_.is_match()} << bit;
    }
    return mask;
  }

  const FilterProgram& program_;
  FieldList declared_;
  const ColumnBlock* block_ = nullptr;
  // find_fields() fills this while json_ is made, so it stands before it.
  std::vector<Declared> used_;
  std::vector<ColumnBlock::Column> columns_;  // per field; kinds is null when it is not declared
  FilterMasks masks_;
  JsonSide json_;
  std::vector<std::uint32_t> parts_;
  bool built_ = false;
};

FilterRun::FilterRun(const Filter& filter) : program_(filter.program_) {}

FilterRun::~FilterRun() = default;

std::uint32_t FilterRun::evaluate(const ColumnBlock* block, std::uint32_t count,
                                  const std::uint64_t* eligible, std::uint64_t* out) {
  const std::uint32_t words = (count + 63) / 64;
  if (words == 0) return 0;
  std::copy_n(eligible, words, out);
  if (count % 64 != 0) out[words - 1] &= (std::uint64_t{1} << (count % 64)) - 1;
  const auto none = [&] { std::fill_n(out, words, std::uint64_t{0}); };
  // Without fields, or without payloads, all rows are alike.
  if (block == nullptr || program_->fields.empty()) {
    if (!matches_text(*program_, {})) none();
    return count_bits(out, words);
  }
  if (fields_ == nullptr || !fields_->same(block->fields())) {
    fields_ = std::make_unique<Fields>(*program_, block->fields());
  }
  if (fields_->bind(*block)) {
    fields_->narrow(count, out);
  } else {
    none();
  }
  return count_bits(out, words);
}

std::uint32_t Filter::evaluate(const ColumnBlock* block, std::uint32_t count,
                               const std::uint64_t* eligible, std::uint64_t* out) const {
  return FilterRun(*this).evaluate(block, count, eligible, out);
}

bool Filter::matches(std::string_view payload) const {
  return matches_text(*program_, payload);
}

}  // namespace vecserve::engine
