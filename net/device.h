// What lanes run batches on. The real devices serve a database: SearchDevice answers a batch by one
// Collection::search, CallDevice runs each work's own call (writes, reads, administration). Tools
// and tests bring others, such as a simulated one.
// Comes after net/lane. run() is called by several lanes and a guest at once, each with its own
// batch.
// Always holds: after run() every work of the batch has its status; nothing is thrown.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/batch.h"
#include "net/work.h"
#include "vecserve/collection.h"

namespace vecserve::net {

class Device {
 public:
  virtual ~Device() = default;
  // Serves all works of the batch and returns when done. Sets batch.statuses[i] where a work failed
  // (they begin ok) and what it knows of batch.stages. Looks at batch.stop between steps.
  virtual void run(Batch& batch) noexcept = 0;
};

// A decoded search. The transport derives from it, keeps the memory that `queries` point into, and
// encodes its reply in finish() from result(), which then holds the answers of the whole batch.
class SearchWork : public Work {
 public:
  // What one Collection::search call can serve together must agree in all of these; k and filter
  // may differ from query to query.
  struct Call {
    Collection collection;
    bool with_payload = false;
    bool with_vector = false;
    std::optional<double> radius{};  // a range search; `limit` then bounds its answers
    std::uint32_t limit = 10'000;
    double recall = 1.0;  // these two as in SearchOptions; not of a range search
    std::uint32_t ef = 0;
    bool explain = false;  // rides alone, so that what is told is of this search only
  };

  // terms.group must be the SearchGroups::of() of the call, terms.weight the number of queries.
  SearchWork(std::shared_ptr<Peer> peer, const WorkTerms& terms, Call call);

  [[nodiscard]] const Call& call() const { return call_; }

  // Filled in by the transport before submit; each with its own k, and filter set.
  std::vector<Query> queries;

  // Within finish() and if the status is ok: the answers of query i of this work are
  // result().of(first() + i).
  [[nodiscard]] const SearchResult& result() const { return *result_; }
  [[nodiscard]] std::size_t first() const { return first_; }

  // For the device: where this work's answers begin in a result, which has all of offsets,
  // certified and truncated, and must stay as it is until the lane runs its next batch.
  void answer_from(const SearchResult& result, std::size_t first) {
    result_ = &result;
    first_ = first;
  }

 private:
  Call call_;
  const SearchResult* result_ = nullptr;
  std::size_t first_ = 0;
};

// Gives each distinct search call its group. Any thread; bounded: when it is full, calls ride
// alone.
class SearchGroups {
 public:
  SearchGroups();
  ~SearchGroups();
  [[nodiscard]] GroupId of(const SearchWork::Call& call);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Serves batches of SearchWork. One search per batch; if that fails because of one bad query, each
// work is searched by itself, so that nobody suffers from a neighbour.
class SearchDevice final : public Device {
 public:
  // `lanes` as in DispatchOptions: one scratch result is kept per lane, and one for a guest.
  explicit SearchDevice(std::uint32_t lanes);
  ~SearchDevice() override;
  void run(Batch& batch) noexcept override;

 private:
  struct Scratch;
  void run_together(Batch& batch, Scratch& scratch);
  static void run_apart(Batch& batch, Scratch& scratch);

  std::vector<std::unique_ptr<Scratch>> scratch_;
};

// A work that is one call: a write, a read, something administrative.
class CallWork : public Work {
 public:
  using Work::Work;
  // On a lane. `stop` turns true when the work is cancelled or the server stops at once; whether
  // and how soon the call heeds it is its own affair.
  virtual Status call(const std::shared_ptr<const CancelToken>& stop) = 0;
};

class CallDevice final : public Device {
 public:
  void run(Batch& batch) noexcept override;
};

}  // namespace vecserve::net
