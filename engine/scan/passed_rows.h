// What sketches let pass of a stretch of rows for one query: rows counted over the stretch, in
// order, with their bounds. Filled part by part after the sieve, then read by the coarse pass:
// first the nearest, then the rest part by part. One worker's thread. Always holds: rows rise;
// memory is kept from stretch to stretch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/scan/sketch_kernels.h"

namespace vecserve::engine {

class PassedRows {
 public:
  void clear() { count_ = at_ = asked_ = 0; }
  // Where up to `count` more rows can be written; valid until the next call. May throw
  // std::bad_alloc.
  [[nodiscard]] SketchSurvivor* room(std::uint32_t count);
  // `count` rows were written there, counted from row `base` of the stretch.
  void take(std::uint32_t count, std::uint32_t base);

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] const SketchSurvivor* begin() const { return rows_.data(); }
  [[nodiscard]] const SketchSurvivor* end() const { return rows_.data() + count_; }

  // The bound of which `rank` others are no greater; rank < size(). `scratch` is any memory. May
  // throw std::bad_alloc.
  [[nodiscard]] float bound_at(std::size_t rank, std::vector<float>& scratch) const;
  // Forgets the rows with bounds of at most `most`, and goes back to the first of the others.
  void drop_within(float most);

  // Calls ask(row) for the rows before `until` with bounds of at most `most` that are not gone
  // past: each once.
  template <typename F>
  void look_ahead(std::uint64_t until, float most, F&& ask) {
    for (asked_ = asked_ < at_ ? at_ : asked_; asked_ < count_ && rows_[asked_].row < until;
         ++asked_) {
      if (rows_[asked_].bound <= most) ask(rows_[asked_].row);
    }
  }

  [[nodiscard]] bool done() const { return at_ == count_; }
  // Goes past the rows [base, base + rows) of the stretch; those before them were gone past
  // already. Those with bounds of at most `most` become bits of `chosen`, counted from base.
  // Returns how many; 0 leaves `chosen` alone, else it has (rows + 63) / 64 words. May throw
  // std::bad_alloc.
  [[nodiscard]] std::uint32_t choose(std::uint64_t base, std::uint32_t rows, float most,
                                     std::vector<std::uint64_t>& chosen);

 private:
  std::vector<SketchSurvivor> rows_;  // the first count_ of them
  std::size_t count_ = 0;
  std::size_t at_ = 0;     // those before are gone past
  std::size_t asked_ = 0;  // those before were asked for
};

}  // namespace vecserve::engine
