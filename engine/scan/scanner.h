// The seam between what a search asks and what computes it. A Scanner proposes candidates, fast and
// with proven bounds; rescore decides among them with the reference scorer. Comes after plan,
// before rescore; every implementation (each CPU kernel table, the GPU, the graph's exact tail)
// obeys the contract below and is held to it by tests/conformance/scanner_test.cc.
//
// Contract of scan(), for every query q of the request:
//  - q's list holds distinct eligible rows: bit set in q's mask, position below the block's count.
//  - Candidate::lower is never above the reference distance of that row.
//  - Every eligible row that is not in the list has a reference distance of at least `floor`, or
//    above q.limit. `floor` is +infinity when no eligible row within q.limit was left out.
//  - The list holds every eligible row, or at least q.want of them (a scanner that knows upper
//  bounds
//    of distances, and so needs no slack: q.k), except that rows whose lower bound is above q.limit
//    may be left out. It may hold more than q.want (up to a small multiple).
//  - Rows whose approximate score is not a number or not finite stay candidates (lower = -infinity
//    unless a better bound is proven).
//  - The order of the list means nothing. Nothing is allocated once a scanner has served a request
//  of
//    that size; buffers of ScanResult are kept and reused by the caller.
//  - request.stop is looked at between blocks; when it says stop, scan returns early with
//    stopped = true and lists that mean nothing.
// One thread at a time per scanner; several scanners run at once. scan() blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "engine/rows/row_block.h"
#include "engine/rows/row_shape.h"
#include "engine/rows/sketch_plane.h"
#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve::engine {

// Says when to give up: asked between blocks, from any worker. Cheap.
class StopCheck {
 public:
  StopCheck() = default;
  StopCheck(Deadline deadline, const CancelToken* cancel) : deadline_(deadline), cancel_(cancel) {}
  [[nodiscard]] bool stop() const {
    return (cancel_ != nullptr && cancel_->cancelled()) ||
           (deadline_ != kNoDeadline && std::chrono::steady_clock::now() >= deadline_);
  }
  // Why stop() said so: by the caller's wish, or else because time ran out.
  [[nodiscard]] bool cancelled() const { return cancel_ != nullptr && cancel_->cancelled(); }

 private:
  Deadline deadline_ = kNoDeadline;
  const CancelToken* cancel_ = nullptr;
};

struct ScanBlock {
  const RowBlock* block = nullptr;
  std::uint32_t count = 0;              // rows [0, count) exist
  const SketchPlane* sketch = nullptr;  // of the first of them; null: there is none
};

// Which rows are eligible, one entry per block of the request: live bits, expiry and filter
// together.
struct ScanMask {
  std::vector<const std::uint64_t*> words;  // per block; null: no row of it
  std::vector<std::uint32_t> eligible;      // per block, bits set
};

struct ScanQuery {
  // For bit collections (row_bytes of them, in 8-byte words, zero padded); else null.
  const std::uint64_t* bits = nullptr;
  // For all others: the query as floats, exactly; 64-byte aligned, padded with zeros to a multiple
  // of 16; else null.
  const float* f32 = nullptr;
  double norm = 0.0;       // Euclidean norm of f32, rounded up
  std::uint32_t want = 0;  // candidates wanted, at least 1
  std::uint32_t k = 0;     // rows of the answer, where that is less than `want`; 0: as many
  double limit = std::numeric_limits<double>::infinity();  // no row further than this matters
  std::uint32_t mask = 0;                                  // index into ScanRequest::masks
};

struct ScanRequest {
  RowShape shape;
  std::span<const ScanBlock> blocks;
  std::span<const ScanMask> masks;
  std::span<const ScanQuery> queries;
  const StopCheck* stop = nullptr;  // null: never stops
  std::uint32_t threads = 1;        // at most this many, the calling one included
  bool timed = false;               // ScanCounts tell the time in each plane too
};

struct Candidate {
  double lower = 0.0;       // never above the row's reference distance
  std::uint32_t block = 0;  // index into ScanRequest::blocks
  std::uint32_t position = 0;
};

// What a scan did, over all queries: how many times a row was looked at in each plane, which costs
// nothing to count; and when the request is timed, for how long, over all threads. A scanner that
// cannot tell leaves the times at 0.
struct ScanCounts {
  std::uint64_t sketch = 0;       // first stripe
  std::uint64_t sketch_fine = 0;  // second stripe
  std::uint64_t coarse = 0;
  std::uint64_t full = 0;
  std::uint64_t sketch_ns = 0;
  std::uint64_t coarse_ns = 0;
  std::uint64_t full_ns = 0;

  void add(const ScanCounts& other) {
    sketch += other.sketch;
    sketch_fine += other.sketch_fine;
    coarse += other.coarse;
    full += other.full;
    sketch_ns += other.sketch_ns;
    coarse_ns += other.coarse_ns;
    full_ns += other.full_ns;
  }
};

// Time in planes, for a request that is timed; else it never looks at the clock.
class PlaneTimer {
 public:
  explicit PlaneTimer(bool on) : on_(on) {
    if (on_) last_ = std::chrono::steady_clock::now();
  }
  // Adds what has passed since the last call.
  void lap(std::uint64_t& ns) {
    if (!on_) return;
    const auto now = std::chrono::steady_clock::now();
    ns += static_cast<std::uint64_t>(std::chrono::nanoseconds(now - last_).count());
    last_ = now;
  }

 private:
  bool on_;
  std::chrono::steady_clock::time_point last_;
};

struct QueryCandidates {
  std::vector<Candidate> list;
  double floor = std::numeric_limits<double>::infinity();
};

struct ScanResult {
  std::vector<QueryCandidates> queries;  // one per query of the request
  ScanCounts counts;
  bool stopped = false;
  std::string_view backend;  // who did it, where that is not what the scanner is called; else empty
};

// Rows that a list must have where upper bounds are known.
[[nodiscard]] inline std::uint32_t needed(const ScanQuery& query) {
  return query.k == 0 ? query.want : query.k;
}

class Scanner {
 public:
  virtual ~Scanner() = default;
  // "cpu/avx512", "gpu/sm_90": shown in stats, replies and every bench line. Never changes.
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual bool supports(const RowShape& shape) const = 0;
  // Makes a full block resident, or drops it; a CPU scanner does nothing.
  virtual void mirror(const RowBlock& block) = 0;
  virtual void forget(const RowBlock& block) = 0;
  // See the contract above. May throw std::bad_alloc; then the result means nothing and the scanner
  // is as good as before.
  [[nodiscard]] virtual Status scan(const ScanRequest& request, ScanResult& result) = 0;
};

}  // namespace vecserve::engine
