// The sketch's part of a scan: prepares the queries of a request for the axes that its blocks
// share, and takes one query at a time: over a sample of the rows, to find the few that look
// nearest, from which the scanner gets a threshold; and with that over all rows, to find those that
// may be near enough. Used by the coarse scanner, one sieve to a scanner. begin() runs on the
// scanning thread, the rest on any worker, each with a bench of its own. Always holds: no row
// within the threshold is turned away; memory is kept from request to request.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/rows/sketch_plane.h"
#include "engine/scan/scan_cut.h"
#include "engine/scan/scanner.h"
#include "engine/scan/sketch_bounds.h"
#include "engine/scan/sketch_kernels.h"

namespace vecserve::engine {

// What one worker has measured of one query over a sample.
struct SieveBench {
  std::vector<float> bounds;  // of the pieces one after the other, each padded to a multiple of 64
  std::vector<float> least;   // of each 64
  std::vector<float> sorted;  // scratch
};

class SketchSieve {
 public:
  explicit SketchSieve(const SketchKernels& kernels) : kernels_(kernels) {}

  // Whether there are sketches for the request at all; if so, each of its queries is to be made
  // ready next. May throw std::bad_alloc.
  [[nodiscard]] bool begin(const ScanRequest& request);
  // Several threads may be at it, each with another query and scratch. May throw std::bad_alloc.
  void make_ready(const ScanRequest& request, std::uint32_t query, std::vector<float>& scratch);
  // Whether the block has a sketch along the axes of this request.
  [[nodiscard]] bool covers(const ScanBlock& block) const {
    return block.sketch != nullptr && &block.sketch->axes() == axes_;
  }
  [[nodiscard]] const SketchAxes* axes() const { return axes_; }
  [[nodiscard]] bool serves(std::uint32_t query) const { return queries_[query].served; }

  // Measures all rows of the pieces, which lie in blocks that are covered. May throw
  // std::bad_alloc.
  void measure(const ScanRequest& request, std::span<const Piece> pieces, std::uint32_t query,
               SieveBench& bench) const;

  struct Near {
    float bound = 0.0f;
    std::uint32_t piece = 0;
    std::uint32_t row = 0;  // within the piece
  };
  // About `want` eligible rows of those measured whose bounds are least and within the threshold,
  // by piece and row; at most half as many more, and fewer when there are fewer. May throw
  // std::bad_alloc.
  void nearest(const ScanRequest& request, std::span<const Piece> pieces, std::uint32_t query,
               float threshold, std::uint32_t want, SieveBench& bench,
               std::vector<Near>& near) const;

  // The eligible rows of a piece that sketches do not rule out, counted from the piece's first row,
  // to `survivors`, which has room for all of its rows.
  [[nodiscard]] SketchCount sift(const ScanRequest& request, const Piece& piece,
                                 std::uint32_t query, float threshold,
                                 SketchSurvivor* survivors) const;
  // Survivors whose bounds are above this are beyond the threshold.
  [[nodiscard]] float reach(std::uint32_t query, float threshold) const {
    return reach_of(queries_[query], threshold).all;
  }

  // Floats that a piece takes on the bench.
  [[nodiscard]] static std::size_t room(const Piece& piece) {
    return (std::size_t{piece.rows} + 63) / 64 * 64;
  }

 private:
  // Bounds that about `want` of the rows measured are within.
  [[nodiscard]] static float least_of_words(std::size_t measured, std::uint32_t want,
                                            SieveBench& bench);
  [[nodiscard]] static float bound_of(const ScanMask& mask, std::span<const Piece> pieces,
                                      std::uint32_t want, SieveBench& bench);

  const SketchKernels& kernels_;
  const SketchAxes* axes_ = nullptr;
  std::vector<SketchQuery> queries_;
};

}  // namespace vecserve::engine
