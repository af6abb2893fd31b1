// What is known of each request, and the place where targets put it. Comes between sender and
// target, before summary. The sender writes the intended and sent times, whoever completes a
// request its outcome; they never touch the same field. Always holds: a record is read only after
// its completion was counted, or never completed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "engine/base/histogram.h"

namespace vecserve::loadgen {

enum class Outcome : std::uint8_t {
  unanswered = 0,  // no reply when the run was over
  ok,
  refused,  // turned away by admission
  expired,  // its deadline passed
  failed,   // anything else
};
inline constexpr std::size_t kOutcomes = 5;
[[nodiscard]] const char* to_string(Outcome outcome);

// Where the server says that the time went, in nanoseconds. All zero: it did not say.
struct Stages {
  std::uint32_t queue_ns = 0;
  std::uint32_t batch_ns = 0;
  std::uint32_t scan_ns = 0;
  std::uint32_t rescore_ns = 0;
  std::uint32_t fetch_ns = 0;  // payloads and vectors of the answers; all the work of other verbs
  std::uint32_t send_ns = 0;
  std::uint32_t batch_size = 0;
  std::uint32_t told_ns = 0;  // the whole stay in the server, by its own word; of refusals too
  std::uint32_t held_ns = 0;  // ahead of all that: in this process's client, until it was sent

  [[nodiscard]] std::uint64_t total_ns() const {
    return std::uint64_t{queue_ns} + batch_ns + scan_ns + rescore_ns + fetch_ns + send_ns;
  }
};

// Times are nanoseconds from the start of the run.
struct Record {
  std::uint64_t intended_ns = 0;
  std::uint64_t sent_ns = 0;   // when the target was called
  std::uint64_t freed_ns = 0;  // when the sender was free for this one: the target's call before
                               // had returned
  std::uint64_t done_ns = 0;
  Stages stages;
  Outcome outcome = Outcome::unanswered;
  std::uint8_t kind = 0;
};
static_assert(sizeof(Record) == 72, "kRequestsMax counts on it");

[[nodiscard]] inline std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

// The records of one run. complete() may be called by any thread, once for each request.
class Records {
 public:
  Records(const std::vector<std::uint64_t>& at_ns, const std::vector<std::uint8_t>& kinds);

  // The moment that all times count from; before the first request is sent.
  void start(std::uint64_t now_ns) { start_ns_ = now_ns; }
  [[nodiscard]] std::uint64_t start_ns() const { return start_ns_; }

  void complete(std::size_t index, Outcome outcome, const Stages& stages = {}) {
    Record& record = records_[index];
    record.done_ns = steady_ns() - start_ns_;
    record.stages = stages;
    std::atomic_ref(record.outcome).store(outcome, std::memory_order_release);
    if (outcome == Outcome::ok) live_.record(record.done_ns - record.intended_ns);
    completed_.fetch_add(1, std::memory_order_release);
  }
  // True once the whole record may be read, while others are still being written.
  [[nodiscard]] bool is_complete(std::size_t index) {
    return std::atomic_ref(records_[index].outcome).load(std::memory_order_acquire) !=
           Outcome::unanswered;
  }
  [[nodiscard]] std::uint64_t completed() const {
    return completed_.load(std::memory_order_acquire);
  }

  // Response times as they come, for whoever looks on.
  [[nodiscard]] engine::SharedHistogram& live() { return live_; }

  // The sender's, while it runs; everybody's after it.
  [[nodiscard]] std::vector<Record>& all() { return records_; }
  [[nodiscard]] const std::vector<Record>& all() const { return records_; }

 private:
  std::vector<Record> records_;
  std::uint64_t start_ns_ = 0;
  std::atomic<std::uint64_t> completed_{0};
  engine::SharedHistogram live_;
};

}  // namespace vecserve::loadgen
