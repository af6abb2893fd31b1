// How a request is cut: its rows into pieces and stretches of pieces, its queries into groups.
// Comes before anything is read; workers of the coarse scanner take a stretch and a group at a
// time. Pure, on the scanning thread. Always holds: pieces hold every row of every block that some
// query may find, once and in order; stretches and groups cover pieces and queries likewise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/scan/scanner.h"

namespace vecserve::engine {

// Rows of one block, `first` a multiple of 64.
struct Piece {
  std::uint32_t block = 0;
  std::uint32_t first = 0;
  std::uint32_t rows = 0;
  bool sketched = false;  // along the axes of the request
};

// Consecutive pieces, all of them with sketches or a single one without.
struct Stretch {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t rows = 0;
  bool sketched = false;
};

// Neighbouring queries with the same mask.
struct Group {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t mask = 0;
};

// Rows of a piece without sketches, whose codes are `stride` bytes each.
[[nodiscard]] std::uint32_t piece_rows(std::size_t stride);

// How many rows of a block there are for each that the mask has, rounded down; at least 1, and
// bounded.
[[nodiscard]] std::uint32_t rows_per_eligible(const ScanRequest& request, std::uint32_t mask,
                                              std::uint32_t block);

// Rows of a piece that the mask has.
[[nodiscard]] std::uint64_t eligible_in(const ScanRequest& request, std::uint32_t mask,
                                        const Piece& piece);

// Rows that are sketched along `axes` (null: none are) come in one piece to a block; others in
// pieces of piece_rows(stride), and where few are eligible, of as many times more. All of these may
// throw std::bad_alloc.
void cut_pieces(const ScanRequest& request, const SketchAxes* axes, std::size_t stride,
                std::vector<Piece>& pieces);
// Stretches that a worker takes at a time, and at least one for each thread.
void cut_stretches(const std::vector<Piece>& pieces, std::uint32_t threads,
                   std::vector<Stretch>& stretches);
// Windows of sketched rows at even distances over all of them: what first thresholds come from.
// Windows do not overlap, and lie in one piece each.
void cut_sample(const std::vector<Piece>& pieces, std::vector<Piece>& sample);
// Groups of at most `most` queries.
void cut_groups(const ScanRequest& request, std::uint32_t most, std::vector<Group>& groups);

}  // namespace vecserve::engine
