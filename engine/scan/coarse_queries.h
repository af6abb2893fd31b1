// The queries of a request as the coarse kernels read them: codes, probes, panels of a batch, and
// the threshold of each, which workers share and lower. Prepared by the coarse scanner's calling
// thread, read by all workers. Always holds: all memory is kept from request to request; a
// threshold never rises once rows are turned away by it for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/scan/bound_list.h"
#include "engine/scan/coarse_bounds.h"
#include "engine/scan/scan_cut.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

class CoarseQueries {
 public:
  // False: one of them is out of the coarse plane's range, and all must go another way. All blocks
  // have coarse planes. May throw std::bad_alloc, as pack().
  [[nodiscard]] bool prepare(const ScanRequest& request);
  // Panels for the groups of more than one query.
  void pack(std::span<const Group> groups);

  [[nodiscard]] std::size_t stride() const { return stride_; }
  [[nodiscard]] const std::int8_t* codes(std::uint32_t query) const {
    return reinterpret_cast<const std::int8_t*>(codes_.data()) + query * stride_;
  }
  [[nodiscard]] const CoarseProbe& probe(std::uint32_t query) const { return probes_[query]; }
  [[nodiscard]] SharedThreshold& threshold(std::uint32_t query) { return thresholds_[query]; }
  [[nodiscard]] const std::int8_t* panels(std::size_t group) const {
    return reinterpret_cast<const std::int8_t*>(packed_.data()) + packed_at_[group];
  }
  // Some queries of a group, from its first + `from` on, a multiple of 16: their panels.
  [[nodiscard]] const std::int8_t* panels(std::size_t group, std::uint32_t from) const {
    return panels(group) + from * stride_;
  }
  // The probe's limit, with what its threshold comes to by now.
  [[nodiscard]] CoarseLimit limit(std::uint32_t query) const {
    CoarseLimit limit = probes_[query].limit;
    limit.reach = reach_of(probes_[query], thresholds_[query].get());
    return limit;
  }

 private:
  std::vector<CoarseProbe> probes_;
  std::unique_ptr<SharedThreshold[]> thresholds_;
  std::size_t thresholds_size_ = 0;
  AlignedBuffer codes_;   // of each query, one stride after the other
  AlignedBuffer packed_;  // of each group
  std::size_t stride_ = 0;
  std::vector<std::size_t> packed_at_;  // per group
};

}  // namespace vecserve::engine
