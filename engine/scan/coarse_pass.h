// One worker's passes over coarse planes: rows in order for a group of queries, or chosen rows for
// one of them; what survives goes to the queries' lists with its bounds, and their thresholds fall.
// Comes between the coarse scanner, which says what to read, and the coarse kernels. One worker's
// thread. Always holds: no row is read whose bit is not set; memory is kept from request to
// request. All functions may throw std::bad_alloc.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/scan/bound_list.h"
#include "engine/scan/coarse_kernels.h"
#include "engine/scan/coarse_queries.h"
#include "engine/scan/scan_cut.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

// What all workers of a request share.
struct CoarseJob {
  const ScanRequest& request;
  CoarseQueries& queries;
  const CoarseKernels& kernels;
};

class CoarsePass {
 public:
  // Of a piece, all rows that the group's mask has; `panels` as in CoarseQueries, and lists are by
  // query of the request. With `middle` the lists take the middle of a row's bounds for its upper
  // one, as seed_rows.
  void rows_in_order(const CoarseJob& job, const Piece& piece, const Group& group,
                     const std::int8_t* panels, bool middle, std::vector<BoundList>& lists);
  // Of a piece, the rows whose bits are set, counted from its first row.
  void chosen_rows(const CoarseJob& job, const Piece& piece, std::uint32_t query,
                   const std::uint64_t* chosen, BoundList& list);
  // Asks for the codes of a row of the piece, which will be chosen soon.
  static void ask_for(const CoarseJob& job, const Piece& piece, std::uint32_t row);
  // As chosen_rows, but without a threshold, to find one: survivors are all.
  // With `middle` the list takes the middle of a row's bounds for its upper one.
  void seed_rows(const CoarseJob& job, const Piece& piece, std::uint32_t query,
                 const std::uint64_t* chosen, bool middle, BoundList& list);

 private:
  void one(const CoarseJob& job, const Piece& piece, std::uint32_t query,
           const std::uint64_t* eligible, const CoarseLimit& limit, bool middle, BoundList& list);
  void group(const CoarseJob& job, const Piece& part, const Group& group, const std::int8_t* panels,
             bool middle, std::vector<BoundList>& lists);

  std::vector<Survivor> survivors_;
  std::vector<CoarseLimit> limits_;
  std::vector<std::uint32_t> found_;
};

}  // namespace vecserve::engine
