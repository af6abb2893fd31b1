// What a collection knows of its graph: the graph itself once there is one, how much effort which
// recall takes, and recent queries to find that out with. Held by the collection, filled by
// graph_keeper in the background, read by searches. Members are grouped by who may touch them.
// Always holds: nothing is made before somebody asks for an approximate search; without it every
// search is exact.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/graph/entries.h"
#include "engine/graph/graph.h"
#include "engine/graph/repair.h"
#include "engine/graph/strays.h"

namespace vecserve::engine {

class EffortMeasure;
class GraphRestore;
class GraphSave;

// Recall that was measured for a beam of `ef`, with k = 10.
struct EffortPoint {
  std::uint32_t ef = 0;
  double recall = 0.0;
};

// Effort and recall as a curve through measured points, which rise.
class EffortCurve {
 public:
  explicit EffortCurve(std::vector<EffortPoint> points) : points_(std::move(points)) {}
  // The least beam for this recall of k rows and a little more, as far as is known; at least k.
  [[nodiscard]] std::uint32_t ef_for(double recall, std::uint32_t k) const;
  // What recall a beam gives.
  [[nodiscard]] double recall_of(std::uint32_t ef, std::uint32_t k) const;
  [[nodiscard]] std::span<const EffortPoint> points() const { return points_; }

 private:
  std::vector<EffortPoint> points_;
};

// A sample of the queries of late.
class RecentQueries {
 public:
  // Recall is an average over queries of which some find next to nothing: with half as many it is
  // known within a percent and a half, which is what a target of 0.95 may be off by.
  static constexpr std::uint32_t kKept = 1'024;

  // Never waits: passes the query over when another is being kept. May throw std::bad_alloc.
  void keep(std::span<const float> query);
  [[nodiscard]] std::vector<std::vector<float>> all() const;
  [[nodiscard]] std::uint64_t seen() const { return seen_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> seen_{0};
  mutable std::mutex mutex_;
  std::vector<std::vector<float>> queries_;  // guarded by mutex_
};

class GraphState {
 public:
  // -- Any thread -------------------------------------------------------------------------------
  [[nodiscard]] std::shared_ptr<Graph> graph() const;               // null: there is none
  [[nodiscard]] std::shared_ptr<const EffortCurve> effort() const;  // null: not known yet
  // With the rows past its watermark, or whoever sees the graph would take all to be linked.
  void set_graph(std::shared_ptr<Graph> graph, std::uint64_t tail);
  void set_effort(std::shared_ptr<const EffortCurve> effort);
  std::atomic<bool> wanted{false};  // somebody has asked for an approximate search
  RecentQueries queries;
  // Rows past the watermark, as the keeper last saw it, and those that came since; by a group that
  // was published while it looked, off until its next pass.
  [[nodiscard]] std::uint64_t tail() const { return tail_.load(std::memory_order_relaxed); }
  void set_tail(std::uint64_t rows);
  // Whoever publishes rows.
  void rows_came(std::uint64_t rows) {
    if (kept_.load(std::memory_order_relaxed)) tail_.fetch_add(rows, std::memory_order_relaxed);
  }
  std::atomic<std::uint64_t> restored{0};  // rows that came from the cache, so far
  std::atomic<std::uint64_t> saved{0};     // rows of the copy in the cache that counts
  // A writer whose rows would make the tail longer than searches should scan waits for the keeper
  // here, kSlowedFor at most; not while a graph is made for the first time. Returns whether it did.
  bool slow_writer();

  static constexpr std::uint64_t kTailMax = 8'192;
  static constexpr std::chrono::milliseconds kSlowedFor{10};

  // -- Whoever runs a pass of the keeper, one at a time -------------------------------------------
  struct Keeping {
    std::unique_ptr<Repair> repair;
    std::unique_ptr<Strays> strays;
    std::unique_ptr<EntrySpreader> entries;
    std::uint64_t strayed = 0;       // rows linked and nodes freed since its last round
    std::uint32_t stray_rounds = 0;  // that followed it at once
    std::uint32_t idle_passes = 0;  // one after the other, without anything to link, save or repair
    std::vector<std::unique_ptr<Linker>> linkers;
    std::uint32_t linked_in_sweep = 0;         // rows, since the repair last began
    std::uint64_t measured_at = 0;             // queries seen when effort was measured
    std::uint32_t measured_nodes = 0;          // and live nodes
    bool from_queries = false;                 // measured with queries, not with rows
    std::shared_ptr<EffortMeasure> measuring;  // on its way
    // The copy in the store's cache; see graph_cache.
    bool looked = false;  // whether there was one when the collection was opened
    std::shared_ptr<GraphRestore> restoring;
    std::shared_ptr<GraphSave> saving;
    std::uint64_t changed = 0;       // rows linked and nodes freed since the last copy
    std::uint64_t changed_then = 0;  // of them, those before the copy that is being written
    std::uint64_t tried_nodes = 0;   // nodes of the last copy, though it may have failed
    bool saved_queries = false;      // its effort was measured with queries
  };
  std::mutex keeping_mutex;
  Keeping keeping;  // guarded by keeping_mutex

 private:
  std::atomic<std::uint64_t> tail_{0};
  std::atomic<bool> kept_{false};       // there is a graph
  std::atomic<bool> caught_up_{false};  // the tail was once short
  mutable std::mutex mutex_;
  std::condition_variable room_;
  // Guarded by mutex_.
  std::shared_ptr<Graph> graph_;
  std::shared_ptr<const EffortCurve> effort_;
};

}  // namespace vecserve::engine
