// The right answers, found without the engine: every row scored in doubles, the nearest kept, equal
// distances by id. Comes after dataset, before exact_search, which compares. Spread over all cores
// and kept in a file, since it costs more than what it checks. Always holds: the order of additions
// is the one that the engine promises (engine/scan/reference.cc), so ids and distances must agree
// to the last bit; a file that is damaged or belongs to other data is made again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/bench/dataset.h"
#include "vecserve/types.h"

namespace vecserve::bench {

struct TruthRequest {
  Metric metric = Metric::l2;        // not hamming
  std::uint32_t k = 10;              // a file with more answers serves too
  std::uint32_t buckets = kBuckets;  // only rows whose bucket_of is below
  std::string folder;                // where files are kept; "": nowhere
};

struct Truth {
  std::size_t per_query = 0;  // min(k, eligible rows)
  std::vector<std::uint32_t> ids;
  std::vector<double> distances;

  [[nodiscard]] std::span<const std::uint32_t> ids_of(std::size_t query) const {
    return {ids.data() + query * per_query, per_query};
  }
  [[nodiscard]] std::span<const double> distances_of(std::size_t query) const {
    return {distances.data() + query * per_query, per_query};
  }
};

[[nodiscard]] Truth find_truth(const Dataset& data, const TruthRequest& request);

}  // namespace vecserve::bench
