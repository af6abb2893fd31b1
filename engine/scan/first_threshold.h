// The threshold that a query begins with: read off a sample of the rows, before the scan itself. Of
// the sample those that look nearest by their sketches are read from the coarse plane. For few rows
// the threshold is proven: there are as many rows in the sample that are surely within it. For many
// it is a guess at what all rows will say, made from where the sample has its share of them, which
// asks for a fraction of the reading and is far nearer to the truth; whoever scans with a guess
// looks afterwards whether it left enough rows. Where sketches say so little that rows which look
// near are not, such a guess is far too high; there a sample is read from the coarse plane as it
// is, for many queries at a time. Used by the coarse scanner: prepare() on the
// scanning thread, find() on any worker with a bench of its own. Always holds: memory is kept from
// request to request.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/scan/coarse_pass.h"
#include "engine/scan/scan_cut.h"
#include "engine/scan/scanner.h"
#include "engine/scan/sift_choice.h"
#include "engine/scan/sketch_sieve.h"

namespace vecserve::engine {

// A row of rank `rank` in a sample is about the need-th of all, and surely not before it but once
// in some ten thousand requests, where the sample has `share` of all rows.
[[nodiscard]] std::uint32_t sample_rank(std::uint32_t need, double share);

class FirstThreshold {
 public:
  struct Bench {
    SieveBench sieve;
    std::vector<SketchSieve::Near> near;
    std::vector<std::uint64_t> bits;
    BoundList seeds;
    std::vector<SketchSurvivor> passed;
    std::vector<float> before;     // of some queries: their thresholds at first
    std::vector<float> halves;     // and by the first half of a sample
    std::vector<BoundList> lists;  // by query of the request
  };
  // Neighbouring queries of a group.
  struct Few {
    Group queries;
    const std::int8_t* panels = nullptr;  // theirs, as in CoarseQueries
    Sifting* sifting = nullptr;           // of the group
  };
  struct Found {
    std::uint64_t read = 0;       // rows, from the coarse plane
    bool guessed = false;         // the threshold was lowered, and it is a guess
    std::uint64_t sketch_ns = 0;  // of a timed request
    std::uint64_t coarse_ns = 0;
  };

  // Takes the sample from the pieces. May throw std::bad_alloc, as find().
  void prepare(const ScanRequest& request, const std::vector<Piece>& pieces);
  // Lowers the threshold of a query that the sieve serves.
  [[nodiscard]] Found find(const CoarseJob& job, const SketchSieve& sieve, std::uint32_t query,
                           bool may_guess, CoarsePass& pass, Bench& bench) const;
  // Whether all of these can make their guesses by one sample that is worth reading, together.
  [[nodiscard]] bool can_read(const CoarseJob& job, const Group& queries) const;
  // find() for some queries, whose group is sifted: puts an end to that where sketches turn out
  // to let too much pass. `guessed` has a place for each query of the request.
  void find_some(const CoarseJob& job, const SketchSieve& sieve, const Few& few, bool may_guess,
                 CoarsePass& pass, Bench& bench, std::span<std::uint8_t> guessed,
                 ScanCounts& counts) const;

 private:
  // What is looked for in which sample.
  struct Plan {
    std::size_t thinned = 0;
    std::uint32_t rank = 0;
    bool guess = false;
  };

  // The whole sample, and every second, fourth and eighth window of it: the more rows are wanted,
  // the fewer windows say where about as many are.
  static constexpr std::size_t kThinned = 4;

  [[nodiscard]] double share(std::size_t thinned, std::uint32_t mask) const {
    return shares_[mask * kThinned + thinned];
  }
  [[nodiscard]] std::size_t thinned_for(std::uint32_t need, std::uint32_t mask) const;
  [[nodiscard]] Plan plan_for(const ScanQuery& asked, bool may_guess) const;
  [[nodiscard]] Plan plan_to_read(const ScanQuery& asked) const;
  [[nodiscard]] bool sketches_pay(const CoarseJob& job, const SketchSieve& sieve, const Few& few,
                                  std::uint32_t scouts, Bench& bench) const;
  void read_half(const CoarseJob& job, const Few& few, const Plan& plan, std::size_t from,
                 CoarsePass& pass, Bench& bench, ScanCounts& counts) const;
  void read_sample(const CoarseJob& job, const Few& few, CoarsePass& pass, Bench& bench,
                   std::span<std::uint8_t> guessed, ScanCounts& counts) const;

  std::vector<Piece> samples_[kThinned];
  std::vector<double> shares_;  // per mask and sample: of its eligible rows, those in the sample
};

}  // namespace vecserve::engine
