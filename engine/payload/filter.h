// A filter expression: its text parsed once, then evaluated over blocks into bits. The language,
// with its precedence and null rules, is described at the head of filter_parser.cc. Comes after
// Collection::search has its snapshot, before the scan. A Filter is immutable; any thread. A
// FilterRun is for one thread at a time.
// Always holds: parsing and evaluating are bounded by limits::filter_*; a column and the JSON text
// of the same value give the same answer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "engine/payload/column_block.h"
#include "vecserve/status.h"

namespace vecserve::engine {

struct FilterProgram;  // filter_program.h, shared by parser and evaluator

class Filter {
 public:
  // invalid_argument("filter") with the byte offset and what was expected. Only white space: an
  // error.
  [[nodiscard]] static Result<Filter> parse(std::string_view text);

  // Sets bit p of `out` when bit p of `eligible` is set and row p matches; all other bits of the
  // (count + 63) / 64 words are cleared. Returns how many bits are set. `eligible` may equal `out`.
  // `block` may be null: then every row has the empty payload. For many blocks use a FilterRun.
  [[nodiscard]] std::uint32_t evaluate(const ColumnBlock* block, std::uint32_t count,
                                       const std::uint64_t* eligible, std::uint64_t* out) const;

  // One payload text by itself; for tests and for rows that are in no block.
  [[nodiscard]] bool matches(std::string_view payload) const;

 private:
  friend class FilterRun;
  explicit Filter(std::shared_ptr<const FilterProgram> program) : program_(std::move(program)) {}
  std::shared_ptr<const FilterProgram> program_;
};

// One filter over block after block: what depends on the filter and on the declared fields alone is
// worked out once, at the first block, and again only where a block declares other fields. Does not
// outlive the blocks' lists of fields.
class FilterRun {
 public:
  // May throw std::bad_alloc, as evaluate().
  explicit FilterRun(const Filter& filter);
  ~FilterRun();
  // As Filter::evaluate.
  [[nodiscard]] std::uint32_t evaluate(const ColumnBlock* block, std::uint32_t count,
                                       const std::uint64_t* eligible, std::uint64_t* out);

 private:
  std::shared_ptr<const FilterProgram> program_;
  class Fields;
  std::unique_ptr<Fields> fields_;  // null before the first block
};

}  // namespace vecserve::engine
