// One request on its way through the serving core: what it asks of the core (class, weight,
// deadline), what becomes of it (one Outcome), and what a refusal says. Comes after decoding and
// before admission; a transport derives from SearchWork or CallWork (net/device.h), others from
// Work.
// Threads: made by the transport, then the core's until finish() was called.
// Always holds: a work that submit() admitted gets exactly one finish(); a refused one gets none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "vecserve/options.h"
#include "vecserve/serving.h"
#include "vecserve/status.h"

namespace vecserve::net {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

// Works of one group may ride in one batch, and share a cost model. Group 0 never shares a batch.
using GroupId = std::uint64_t;
inline constexpr GroupId kAlone = 0;

// What a work asks of the core; fixed when it is submitted.
struct WorkTerms {
  GroupId group = kAlone;
  Priority priority = Priority::interactive;
  std::uint32_t weight = 1;  // queries, or whatever its cost grows with; at least 1
  std::size_t bytes = 0;     // memory that it holds until its ticket is freed
  Deadline deadline = kNoDeadline;
};

// Why a work was not admitted. The numbers are on the wire.
enum class RefusalReason : std::uint8_t {
  queue_time = 1,  // it would wait longer than the target
  deadline = 2,    // it cannot be done by its deadline, or the deadline has passed already
  share = 3,       // its connection holds more than its share of a filling queue
  count = 4,       // the bound on queued works, or on works of one connection, is reached
  bytes = 5,       // the bound on bytes in flight is reached
  draining = 6,    // no new work is taken
};

[[nodiscard]] std::string_view to_string(RefusalReason reason);

struct Refusal {
  RefusalReason reason = RefusalReason::queue_time;
  Duration predicted_wait{0};  // until it would have started
  Duration retry_after{0};     // when trying again makes sense; 0: not on this server
};

// deadline_exceeded, unavailable (draining) or resource_exhausted, with a sentence.
[[nodiscard]] Status to_status(const Refusal& refusal);

// How busy the core is, for clients that throttle themselves, choose a replica or hedge. Rides in
// every reply.
struct Load {
  float level = 0.0f;          // predicted wait over the most that is admitted; from 1 on: refused
  std::uint32_t queued = 0;    // weight that waits
  std::uint32_t spare = 0;     // weight that would ride along in the next batch
  std::uint32_t credits = 0;   // weight this connection may have in flight and expect admission
  Duration predicted_wait{0};  // of an interactive work that came now
};

// Where the time of one work went. What the device does not tell is 0.
struct Stages {
  std::uint64_t queue_ns = 0;    // admitted until its batch closed
  std::uint64_t batch_ns = 0;    // batch closed until the device began
  std::uint64_t scan_ns = 0;     // preparing and proposing candidates
  std::uint64_t rescore_ns = 0;  // deciding among them
  std::uint64_t fetch_ns = 0;    // ids, payloads and vectors of the answers
  std::uint64_t run_ns = 0;      // device began until it was done; the three above are within
};

// What became of an admitted work.
struct Outcome {
  Status status;  // the device's own if it ran, however late; batch_works 0: it never began
  Stages stages;
  std::uint32_t batch_works = 0;   // works of its batch; 0: it never was in one
  std::uint32_t batch_weight = 0;  // and their weight
  Load load;
};

// A budget of weight and bytes that was granted; move-only, given back when it dies. Counts in
// flight are the tickets alive. A work carries its own; finish() may take it to hold it until the
// reply is queued, otherwise it is freed when finish() returns. May outlive the dispatch.
class Budget;
class [[nodiscard]] Ticket {
 public:
  Ticket() = default;
  Ticket(std::shared_ptr<Budget> budget, std::size_t bytes);
  Ticket(Ticket&& other) noexcept;
  Ticket& operator=(Ticket&& other) noexcept;
  ~Ticket() { release(); }

  [[nodiscard]] bool held() const { return budget_ != nullptr; }
  void release() noexcept;

 private:
  std::shared_ptr<Budget> budget_;
  std::size_t bytes_ = 0;
};

struct Flow;
class Peer;

// Base of everything that is served. The core links it into its queues through the private members,
// so that queueing allocates nothing.
class Work {
 public:
  // `peer` is whose share of the queue it takes, see Dispatch::join(); never null.
  Work(std::shared_ptr<Peer> peer, const WorkTerms& terms);
  virtual ~Work();
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  // Called once, never under a lock of the core: on a lane (done, or dropped when a batch closed),
  // within cancel(), cancel_all() or stop(), or within the submit() of a connection that this one
  // had to give way to. Must not block or throw; may submit and cancel.
  // What the device left in the work is valid until it returns, and only if the status is ok.
  virtual void finish(const Outcome& outcome) noexcept = 0;

  [[nodiscard]] const WorkTerms& terms() const { return terms_; }
  [[nodiscard]] Peer& peer() const { return *peer_; }
  // Whether somebody cancelled it; a device need not go on with it. Any thread.
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // The budget, from within finish().
  [[nodiscard]] Ticket take_ticket() { return std::move(ticket_); }

 private:
  friend class Dispatch;
  friend class Batcher;
  enum class Place : std::uint8_t { outside, queued, running, finished };

  const std::shared_ptr<Peer> peer_;
  const WorkTerms terms_;
  Ticket ticket_;
  TimePoint admitted_{};
  std::atomic<bool> cancelled_{false};
  // Guarded by the dispatch's mutex while the work is in it.
  Place place_ = Place::outside;
  bool trial_ = false;          // admitted to learn whether the device is still slow
  std::uint32_t slot_ = 0;      // which running batch, if running
  std::shared_ptr<Work> self_;  // keeps it alive while queued
  Flow* flow_ = nullptr;
  Work* before_ = nullptr;  // in its flow
  Work* after_ = nullptr;
  Work* older_ = nullptr;  // among all that wait
  Work* newer_ = nullptr;
  Work* peer_older_ = nullptr;  // among those of its peer that wait
  Work* peer_newer_ = nullptr;
};

}  // namespace vecserve::net
