// What one running search needs beside its snapshot: a scanner and scratch memory, kept from search
// to search so that a warm search allocates nothing. Comes before search; the pool hands lanes out.
// One search at a time per lane; the pool may be used by any thread and waits when all lanes_max
// lanes are out.
// Always holds: a lane goes back to the pool when its Lease ends, also when the search failed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/graph/graph_search.h"
#include "engine/scan/rescore.h"
#include "engine/scan/rescore_batch.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

struct SearchLane {
  std::unique_ptr<Scanner> scanner;

  // Scratch, sized by the largest search so far.
  std::vector<float> floats;        // queries, with room to align
  std::vector<std::uint64_t> bits;  // queries of bit collections
  std::vector<ScanBlock> blocks;
  std::vector<ScanMask> masks;
  std::vector<std::vector<std::uint64_t>> words;  // per mask, where it is not the live bits alone
  std::vector<std::string_view> filters;          // per mask
  std::vector<ScanQuery> queries;
  std::vector<ScanQuery> rerun_queries;
  std::vector<std::uint32_t> rerun_of;  // which query each re-run belongs to
  std::vector<std::uint32_t> wanted;    // k of each query
  ScanResult result;
  GraphSearch graph;
  GraphTail tail;
  ScanResult tail_result;
  std::vector<std::vector<Scored>> best;  // per query
  std::vector<Candidate> spare;           // scratch of what is decided again
  std::vector<Decision> decisions;        // per query
  BatchRescore rescore;
};

class LanePool {
 public:
  explicit LanePool(std::function<std::unique_ptr<Scanner>()> make_scanner);

  class Lease {
   public:
    Lease(LanePool& pool, std::unique_ptr<SearchLane> lane) : pool_(pool), lane_(std::move(lane)) {}
    ~Lease() {
      if (lane_ != nullptr) pool_.give_back(std::move(lane_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    explicit operator bool() const { return lane_ != nullptr; }
    [[nodiscard]] SearchLane& operator*() const { return *lane_; }
    [[nodiscard]] SearchLane* operator->() const { return lane_.get(); }

   private:
    LanePool& pool_;
    std::unique_ptr<SearchLane> lane_;
  };

  // Waits for a lane while all are out; an empty lease when the search is stopped before there is
  // one, which is noticed within kLookEvery.
  [[nodiscard]] Lease take(const StopCheck& stop = {});
  static constexpr std::chrono::milliseconds kLookEvery{5};
  [[nodiscard]] const std::string& backend() const { return backend_; }

 private:
  void give_back(std::unique_ptr<SearchLane> lane);

  std::function<std::unique_ptr<Scanner>()> make_scanner_;
  std::string backend_;  // the scanners' name; constant
  std::mutex mutex_;
  std::condition_variable returned_;
  // Guarded by mutex_.
  std::vector<std::unique_ptr<SearchLane>> idle_;
  std::uint32_t made_ = 0;
};

}  // namespace vecserve::engine
