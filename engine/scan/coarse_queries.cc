// See coarse_queries.h.
// Runs on the calling thread of a scan, before its workers start. Always holds: codes are padded
// with zeros to the stride of the planes.
#include "engine/scan/coarse_queries.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/scan/coarse_kernels.h"

namespace vecserve::engine {

bool CoarseQueries::prepare(const ScanRequest& request) {
  const std::size_t count = request.queries.size();
  stride_ = request.blocks.front().block->coarse()->stride();
  if (codes_.size() < count * stride_) {
    codes_ = AlignedBuffer(count * stride_);
  }
  if (thresholds_size_ < count) {
    thresholds_ = std::make_unique<SharedThreshold[]>(count);
    thresholds_size_ = count;
  }
  probes_.resize(count);
  for (std::size_t q = 0; q < count; ++q) {
    auto* const mine = reinterpret_cast<std::int8_t*>(codes_.data()) + q * stride_;
    std::fill(mine + request.shape.dim, mine + stride_, std::int8_t{0});
    const CoarseQuery query =
        make_coarse_query(request.shape.metric, request.queries[q].f32, request.shape.dim, mine);
    if (!query.served) {
      return false;
    }
    probes_[q] = make_probe(request.shape.metric, query);
    // Never below the limit, which is a double.
    const auto limit = static_cast<float>(request.queries[q].limit);
    const bool below = static_cast<double>(limit) < request.queries[q].limit;
    thresholds_[q].reset(below ? std::nextafter(limit, std::numeric_limits<float>::infinity())
                               : limit);
  }
  return true;
}

void CoarseQueries::pack(std::span<const Group> groups) {
  packed_at_.clear();
  std::size_t bytes = 0;
  for (const Group& group : groups) {
    packed_at_.push_back(bytes);
    bytes += group.count > 1 ? (std::size_t{group.count} + 15) / 16 * 16 * stride_ : 0;
  }
  if (packed_.size() < bytes) {
    packed_ = AlignedBuffer(bytes);
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].count > 1) {
      pack_queries(codes(groups[g].first), stride_, groups[g].count,
                   reinterpret_cast<std::int8_t*>(packed_.data()) + packed_at_[g]);
    }
  }
}

}  // namespace vecserve::engine
