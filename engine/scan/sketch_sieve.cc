// See sketch_sieve.h.
// Always holds: only the sample is measured into memory, four bytes a row; all other rows are
// tested in registers.
#include "engine/scan/sketch_sieve.h"

#include <algorithm>

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

}  // namespace

bool SketchSieve::prepare(const ScanRequest& request) {
  axes_ = nullptr;
  for (const ScanBlock& block : request.blocks) {
    if (axes_ == nullptr && block.sketch != nullptr) axes_ = &block.sketch->axes();
  }
  if (axes_ == nullptr) return false;
  queries_.resize(std::max(queries_.size(), request.queries.size()));
  scratch_.resize(axes_->scratch_floats());
  bool any = false;
  for (std::size_t q = 0; q < request.queries.size(); ++q) {
    make_sketch_query(*axes_, request.queries[q].f32, request.queries[q].norm, scratch_.data(),
                      queries_[q]);
    any = any || queries_[q].served;
  }
  return any;
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
  std::size_t words_measured = 0;
  for (const Piece& piece : pieces) words_measured += room(piece) / 64;
  // As many words have a row below the want-th least bound of all words as are wanted: only those
  // need to be looked into.
  bench.least_sorted.assign(bench.least.begin(),
                            bench.least.begin() + static_cast<std::ptrdiff_t>(words_measured));
  float most = reach_of(queries_[query], threshold).first;
  if (words_measured > want) {
    const auto at = bench.least_sorted.begin() + (want - 1);
    std::nth_element(bench.least_sorted.begin(), at, bench.least_sorted.end());
    most = std::min(most, *at);
  }
  near.clear();
  const ScanMask& mask = request.masks[request.queries[query].mask];
  std::size_t at = 0;
  for (std::uint32_t p = 0; p < pieces.size(); at += room(pieces[p]), ++p) {
    const std::uint64_t* const words = mask.words[pieces[p].block];
    if (words == nullptr) continue;
    for (std::uint32_t word = 0; word * 64 < pieces[p].rows; ++word) {
      if (bench.least[at / 64 + word] > most) continue;
      std::uint64_t bits = words[pieces[p].first / 64 + word];
      const std::uint32_t left = pieces[p].rows - word * 64;
      if (left < 64) bits &= (std::uint64_t{1} << left) - 1;
      for (; bits != 0; bits &= bits - 1) {
        const auto row = word * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits));
        const float bound = bench.bounds[at + row];
        if (bound <= most) near.push_back({bound, p, row});
      }
    }
  }
  if (near.size() > want) {
    std::nth_element(near.begin(), near.begin() + (want - 1), near.end(),
                     [](const Near& a, const Near& b) { return a.bound < b.bound; });
    near.resize(want);
  }
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
