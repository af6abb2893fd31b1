// Proposes candidates for an approximate search: what a walk through the graph finds, looked up in
// the snapshot that the search has pinned, and beside it the rows past the watermark, for a
// scanner. Comes after masks and plan, before rescore, on the searching thread; the scratch memory
// of one lane. Always holds: every candidate is an eligible row of the snapshot, its lower bound is
// proven as for any scanner; the floor says that nothing is known of the others.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/graph/beam.h"
#include "engine/rows/row_set.h"
#include "engine/scan/coarse_bounds.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

struct GraphRequest {
  const Graph* graph = nullptr;
  const RowSet* rows = nullptr;  // pinned before the watermark was read
  std::uint32_t ef = 0;
  std::uint32_t steps_max = UINT32_MAX;
  const CoarseKernels* coarse = nullptr;  // to bound distances with; null: they are not
  bool filtered = false;  // few of the rows are eligible: walk on until ef of them are found
};

class GraphSearch {
 public:
  // Replaces the list of `out`. False when steps_max ended the walk. May throw std::bad_alloc.
  bool search(const GraphRequest& request, const ScanQuery& query, const ScanMask& mask,
              QueryCandidates& out);
  [[nodiscard]] std::uint64_t scored() const { return beam_.scored(); }

 private:
  void bound(const GraphRequest& request, const ScanQuery& query, const RowShape& shape,
             std::vector<Candidate>& list);

  Beam beam_;
  const CodeAxes* axes_ = nullptr;  // that the buffers are for
  AlignedBuffer codes_;
  std::vector<float> scratch_;
  AlignedBuffer coarse_codes_;
};

// The rows of a request from a slot on: a request of its own, over fewer blocks.
class GraphTail {
 public:
  // Points into `whole` and itself. False when there are no such rows. May throw std::bad_alloc.
  bool cut(const ScanRequest& whole, const RowSet& rows, std::uint64_t from_slot);
  [[nodiscard]] const ScanRequest& request() const { return request_; }
  // What must be added to the block of a candidate of this request.
  [[nodiscard]] std::uint32_t first_block() const { return first_block_; }

 private:
  void cut_mask(const ScanMask& whole, std::uint32_t from_position, std::size_t m);

  ScanRequest request_;
  std::uint32_t first_block_ = 0;
  std::vector<ScanMask> masks_;
  std::vector<std::vector<std::uint64_t>> words_;  // per mask, of the first block
};

// Rows from a slot on, dead ones included.
[[nodiscard]] std::uint64_t rows_from(const RowSet& rows, std::uint64_t slot);

}  // namespace vecserve::engine
