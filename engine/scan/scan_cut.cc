// See scan_cut.h.
// On the scanning thread, once for each request. Always holds: time in proportion to blocks and
// queries, not to rows.
#include "engine/scan/scan_cut.h"

#include <algorithm>
#include <bit>

#include "engine/scan/kernels.h"

namespace vecserve::engine {

namespace {

// A piece is what is read between two looks at whether to stop: some 100 us of one query.
constexpr std::size_t kPieceBytes = std::size_t{512} << 10;
// Sketched rows that a worker takes at a time: the more, the better the threshold with which it
// goes on to their coarse codes; the fewer, the sooner that helps the rows after them. Bounds what
// it remembers of them: 8 bytes for each row that passes, of each query of a bundle.
constexpr std::uint32_t kStretchRows = 16'384;
// The sample for first thresholds: the more rows, the better the threshold. Measuring a row costs
// as much as sifting it, and beyond one in eight what a better threshold turns away is worth less.
constexpr std::uint64_t kSampleRowsMin = 16'384;
constexpr std::uint64_t kSampleEvery = 8;
// Consecutive rows of the sample: enough to be read in order.
constexpr std::uint32_t kWindowRows = 512;
// A piece grows where few rows of a block are eligible, up to so many times.
constexpr std::uint32_t kSparsenessMax = 128;

// Of the mask that has most of the block's rows.
std::uint32_t sparseness(const ScanRequest& request, std::uint32_t block) {
  std::uint32_t least = kSparsenessMax;
  for (std::uint32_t m = 0; m < request.masks.size(); ++m) {
    if (request.masks[m].words[block] == nullptr) continue;
    least = std::min(least, rows_per_eligible(request, m, block));
  }
  return least;
}

}  // namespace

std::uint32_t piece_rows(std::size_t stride) {
  const std::size_t tiles = std::max<std::size_t>(1, kPieceBytes / stride / kTileRows);
  return static_cast<std::uint32_t>(tiles * kTileRows);
}

std::uint32_t rows_per_eligible(const ScanRequest& request, std::uint32_t mask,
                                std::uint32_t block) {
  const std::uint32_t rows = request.blocks[block].count;
  const std::uint32_t eligible = request.masks[mask].eligible[block];
  return std::clamp(rows / std::max(eligible, 1U), 1U, kSparsenessMax);
}

std::uint64_t eligible_in(const ScanRequest& request, std::uint32_t mask, const Piece& piece) {
  const std::uint32_t there = request.blocks[piece.block].count;
  const std::uint32_t eligible = request.masks[mask].eligible[piece.block];
  if (eligible == there) return piece.rows;
  if (piece.rows == there) return eligible;
  if (request.masks[mask].words[piece.block] == nullptr) return 0;
  const std::uint64_t* const words = request.masks[mask].words[piece.block] + piece.first / 64;
  std::uint64_t count = 0;
  for (std::uint32_t row = 0; row < piece.rows; row += 64) {
    std::uint64_t bits = words[row / 64];
    if (piece.rows - row < 64) bits &= (std::uint64_t{1} << (piece.rows - row)) - 1;
    count += static_cast<std::uint64_t>(std::popcount(bits));
  }
  return count;
}

void cut_pieces(const ScanRequest& request, const SketchAxes* axes, std::size_t stride,
                std::vector<Piece>& pieces) {
  pieces.clear();
  const std::uint32_t fits = piece_rows(stride);
  for (std::uint32_t b = 0; b < request.blocks.size(); ++b) {
    const ScanBlock& block = request.blocks[b];
    const bool wanted = std::any_of(
        request.masks.begin(), request.masks.end(),
        [b](const ScanMask& mask) { return mask.words[b] != nullptr && mask.eligible[b] != 0; });
    const std::uint32_t count = wanted ? block.count : 0;
    std::uint32_t first = 0;
    if (axes != nullptr && block.sketch != nullptr && &block.sketch->axes() == axes) {
      // All, or a multiple of 64.
      const std::uint32_t there = block.sketch->count();
      first = there >= count ? count : there / kTileRows * kTileRows;
      if (first != 0) pieces.push_back({b, 0, first, true});
    }
    const std::uint32_t step = wanted ? fits * sparseness(request, b) : fits;
    while (first < count) {
      const std::uint32_t rows = std::min(step, count - first);
      pieces.push_back({b, first, rows, false});
      first += rows;
    }
  }
}

void cut_stretches(const std::vector<Piece>& pieces, std::uint32_t threads,
                   std::vector<Stretch>& stretches) {
  std::uint64_t rows = 0;
  for (const Piece& piece : pieces) rows += piece.rows;
  const std::uint64_t most = std::min<std::uint64_t>(kStretchRows, rows / threads + 1);
  stretches.clear();
  for (std::uint32_t p = 0; p < pieces.size(); ++p) {
    const Piece& piece = pieces[p];
    Stretch* const last = stretches.empty() ? nullptr : &stretches.back();
    if (last != nullptr && piece.sketched && last->sketched && last->rows + piece.rows <= most) {
      ++last->count;
      last->rows += piece.rows;
    } else {
      stretches.push_back({p, 1, piece.rows, piece.sketched});
    }
  }
}

void cut_sample(const std::vector<Piece>& pieces, std::vector<Piece>& sample) {
  std::uint64_t rows = 0;
  for (const Piece& piece : pieces) rows += piece.sketched ? piece.rows : 0;
  const std::uint64_t wanted = std::max(kSampleRowsMin, rows / kSampleEvery);
  // A window begins where the rows so far pass the next multiple of `step`.
  const std::uint64_t step =
      std::max<std::uint64_t>(kWindowRows, wanted == 0 ? 0 : rows * kWindowRows / wanted);
  sample.clear();
  std::uint64_t before = 0;
  std::uint64_t next = 0;
  for (const Piece& piece : pieces) {
    if (!piece.sketched) continue;
    while (next < before + piece.rows) {
      const auto offset = static_cast<std::uint32_t>(next > before ? next - before : 0);
      const std::uint32_t first = offset / kTileRows * kTileRows;
      const std::uint32_t count = std::min(kWindowRows, piece.rows - first);
      sample.push_back({piece.block, piece.first + first, count, true});
      next += step;
    }
    before += piece.rows;
  }
}

void cut_groups(const ScanRequest& request, std::uint32_t most, std::vector<Group>& groups) {
  groups.clear();
  for (std::uint32_t q = 0; q < request.queries.size(); ++q) {
    const std::uint32_t mask = request.queries[q].mask;
    if (groups.empty() || groups.back().mask != mask || groups.back().count == most) {
      groups.push_back({q, 0, mask});
    }
    ++groups.back().count;
  }
}

}  // namespace vecserve::engine
