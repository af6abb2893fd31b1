// Keeps the rows with the smallest lower bounds: a threshold turns most rows away unseen, the
// others go to a buffer that is cut back to size when it is full. Comes after the bounds of a tile,
// before the merge of the workers. One thread at a time. Always holds: the list has every row that
// was added, or the `want` smallest and perhaps ties of the last; floor() is at most the bound of
// every row that was added and is not in the list.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "engine/scan/kernels.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

class TopK {
 public:
  // Forgets everything but its memory. Rows whose bound is above `limit` need not be kept.
  void reset(std::uint32_t want, double limit);

  // Adds the rows position, position + 1, ... of a block with the bounds lower[0, kTileRows). NaN
  // means that there is no such row. May throw std::bad_alloc.
  void add_tile(const float* lower, std::uint32_t block, std::uint32_t position);

  // Adds what the other one kept and takes over its floor.
  void merge(const TopK& other);

  // Cuts the list to what is wanted and copies it out.
  void finish(QueryCandidates& out);

 private:
  void add(float lower, std::uint32_t block, std::uint32_t position);
  void prune();

  std::vector<Candidate> list_;
  std::size_t want_ = 1;
  std::size_t capacity_ = 0;                                  // of rows before the list is cut
  float threshold_ = std::numeric_limits<float>::infinity();  // rows above are turned away
  float floor_ = std::numeric_limits<float>::infinity();
  double limit_ = std::numeric_limits<double>::infinity();
};

}  // namespace vecserve::engine
