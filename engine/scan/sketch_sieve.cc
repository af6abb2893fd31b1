// See sketch_sieve.h.
// Always holds: only the sample is measured into memory, four bytes a row; all other rows are
// tested in registers.
#include "engine/scan/sketch_sieve.h"

#include <algorithm>
#include <limits>

#include "engine/scan/rank_select.h"

namespace vecserve::engine {

namespace {

SketchRows rows_of(const SketchPlane& plane, const Piece& piece, const std::uint64_t* eligible) {
  const std::uint32_t first = piece.first;
  SketchRows rows;
  rows.first = plane.first() + std::size_t{first} * kSketchFirst;
  rows.bases = plane.bases() + first;
  rows.lefts = plane.lefts() + first;
  rows.reaches = plane.reaches() + first;
  rows.fine = plane.fine() + std::size_t{first} * plane.fine_stride();
  rows.fine_codes = plane.fine_codes();
  rows.fine_stride = plane.fine_stride();
  rows.eligible = eligible;
  rows.count = piece.rows;
  return rows;
}

// Of the rows of a sample so many are looked at, to say which bound is about the want-th least.
constexpr std::size_t kLookedAt = 1024;

// Bits of the eligible rows among 64 of a piece.
std::uint64_t eligible_at(const std::uint64_t* words, const Piece& piece, std::uint32_t word) {
  const std::uint64_t bits = words[piece.first / 64 + word];
  const std::uint32_t left = piece.rows - word * 64;
  return left < 64 ? bits & ((std::uint64_t{1} << left) - 1) : bits;
}

// The rank-th least of the values; infinity when there are fewer.
float least_of_rank(std::vector<float>& values, std::size_t rank) {
  if (rank > values.size()) return std::numeric_limits<float>::infinity();
  return value_at_rank(values, rank - 1);
}

// Bit i: bounds[i] is at most `most`.
std::uint64_t within(const float* bounds, float most) {
  std::uint64_t bits = 0;
  for (std::uint32_t i = 0; i < 64; ++i) {
    bits |= static_cast<std::uint64_t>(bounds[i] <= most) << i;
  }
  return bits;
}

}  // namespace

bool SketchSieve::begin(const ScanRequest& request) {
  axes_ = nullptr;
  for (const ScanBlock& block : request.blocks) {
    if (axes_ == nullptr && block.sketch != nullptr) axes_ = &block.sketch->axes();
  }
  if (axes_ == nullptr) return false;
  queries_.resize(std::max(queries_.size(), request.queries.size()));
  return true;
}

void SketchSieve::make_ready(const ScanRequest& request, std::uint32_t query,
                             std::vector<float>& scratch) {
  scratch.resize(std::max<std::size_t>(scratch.size(), axes_->scratch_floats()));
  const ScanQuery& asked = request.queries[query];
  make_sketch_query(*axes_, asked.f32, asked.norm, scratch.data(), queries_[query]);
}

void SketchSieve::measure(const ScanRequest& request, std::span<const Piece> pieces,
                          std::uint32_t query, SieveBench& bench) const {
  std::size_t room_needed = 0;
  for (const Piece& piece : pieces) room_needed += room(piece);
  if (bench.bounds.size() < room_needed) {
    bench.bounds.resize(room_needed);
    bench.least.resize(room_needed / 64);
  }
  std::size_t at = 0;
  for (const Piece& piece : pieces) {
    kernels_.measure(rows_of(*request.blocks[piece.block].sketch, piece, nullptr),
                     queries_[query].probe, &bench.bounds[at], &bench.least[at / 64]);
    at += room(piece);
  }
}

void SketchSieve::nearest(const ScanRequest& request, std::span<const Piece> pieces,
                          std::uint32_t query, float threshold, std::uint32_t want,
                          SieveBench& bench, std::vector<Near>& near) const {
  const ScanMask& mask = request.masks[request.queries[query].mask];
  std::size_t measured = 0;
  for (const Piece& piece : pieces) measured += room(piece);
  const bool few = measured / 64 > want;
  const float most =
      std::min(reach_of(queries_[query], threshold).first,
               few ? least_of_words(measured, want, bench) : bound_of(mask, pieces, want, bench));
  near.clear();
  std::size_t at = 0;
  for (std::uint32_t p = 0; p < pieces.size(); at += room(pieces[p]), ++p) {
    const std::uint64_t* const words = mask.words[pieces[p].block];
    if (words == nullptr) continue;
    for (std::uint32_t word = 0; word * 64 < pieces[p].rows; ++word) {
      const std::size_t first = at + std::size_t{word} * 64;
      if (bench.least[first / 64] > most) continue;
      std::uint64_t bits = eligible_at(words, pieces[p], word);
      if (bits == 0) continue;
      for (bits &= within(&bench.bounds[first], most); bits != 0; bits &= bits - 1) {
        const auto row = static_cast<std::uint32_t>(__builtin_ctzll(bits));
        near.push_back({bench.bounds[first + row], p, word * 64 + row});
      }
    }
  }
  if (near.size() <= (few ? want : want + want / 2)) return;
  std::nth_element(near.begin(), near.begin() + (want - 1), near.end(),
                   [](const Near& a, const Near& b) { return a.bound < b.bound; });
  near.resize(want);
  std::sort(near.begin(), near.end(), [](const Near& a, const Near& b) {
    return a.piece != b.piece ? a.piece < b.piece : a.row < b.row;
  });
}

// As many words have a row below the want-th least bound of all words as are wanted.
float SketchSieve::least_of_words(std::size_t measured, std::uint32_t want, SieveBench& bench) {
  bench.sorted.assign(bench.least.begin(),
                      bench.least.begin() + static_cast<std::ptrdiff_t>(measured / 64));
  return least_of_rank(bench.sorted, want);
}

// When each word has some of those that are wanted: some of the eligible rows tell which bound
// about so many are within.
float SketchSieve::bound_of(const ScanMask& mask, std::span<const Piece> pieces, std::uint32_t want,
                            SieveBench& bench) {
  std::size_t rows = 0;
  for (const Piece& piece : pieces) rows += piece.rows;
  const std::size_t step = std::max<std::size_t>(1, rows / kLookedAt);
  bench.sorted.clear();
  std::size_t at = 0;
  std::size_t row = 0;
  for (const Piece& piece : pieces) {
    const std::uint64_t* const words = mask.words[piece.block];
    for (; row < piece.rows; row += step) {
      const auto word = static_cast<std::uint32_t>(row / 64);
      if (words == nullptr || (eligible_at(words, piece, word) >> row % 64 & 1) == 0) continue;
      bench.sorted.push_back(bench.bounds[at + row]);
    }
    row -= piece.rows;
    at += room(piece);
  }
  return least_of_rank(bench.sorted, want / step + 1);
}

SketchCount SketchSieve::sift(const ScanRequest& request, const Piece& piece, std::uint32_t query,
                              float threshold, SketchSurvivor* survivors) const {
  const SketchQuery& mine = queries_[query];
  const std::uint64_t* const words = request.masks[request.queries[query].mask].words[piece.block];
  return kernels_.sift(
      rows_of(*request.blocks[piece.block].sketch, piece, words + piece.first / 64), mine.probe,
      reach_of(mine, threshold), survivors);
}

}  // namespace vecserve::engine
