// Finds out how wide a beam must be for which recall: answers a sample of queries exactly and by
// walks of several widths, and compares. Queries of late where there are enough of them, else rows
// of the collection. Run by graph_keeper when it has nothing else to do, some queries at a time:
// all of them take seconds, in which rows would wait to be linked. Always holds: the curve rises;
// what is measured is not counted as a search of the caller's.
#pragma once

#include <functional>

#include "engine/collection_core.h"

namespace vecserve::engine {

// A measurement on its way, with the keeping mutex.
class EffortMeasure {
 public:
  // With the queries of late, else with rows. May throw std::bad_alloc.
  explicit EffortMeasure(const CollectionCore& core);

  // The next few, exactly and by each beam, so that both see the same rows but for those that are
  // written in these milliseconds. May throw std::bad_alloc.
  [[nodiscard]] Status step(const CollectionCore& core, const std::function<bool()>& stopping);
  [[nodiscard]] bool done() const { return next_ == queries_.size(); }
  [[nodiscard]] std::vector<EffortPoint> points() const;
  [[nodiscard]] bool from_queries() const { return from_queries_; }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }  // queries, when it began

 private:
  std::uint64_t seen_;
  bool from_queries_;
  std::vector<std::vector<float>> queries_;
  std::size_t next_ = 0;
  std::uint64_t wanted_ = 0;          // neighbours, of the queries that were asked
  std::vector<std::uint64_t> right_;  // of them, by beam
};

// True when it has measured something, some ten milliseconds of it. Does nothing while what is
// known still holds.
[[nodiscard]] Result<bool> keep_effort(CollectionCore& core, const Graph& graph,
                                       const std::function<bool()>& stopping);

}  // namespace vecserve::engine
