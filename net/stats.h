// What a server knows of itself: times per kind of request and stage, outcomes, batch sizes, the
// slowest requests, and a point per second for the console. Filled by ServerOptions::on_reply, read
// by the HTTP face (net/http_server.h).
// record() is for any thread and takes some dozen nanoseconds, without a lock but for the slowest;
// reading is for any thread, one at a time by a lock.
// Always holds: memory is bounded whatever is recorded; each reply counts once.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/histogram.h"
#include "net/server_options.h"
#include "net/server_shared.h"
#include "net/serving.h"
#include "net/slow_log.h"

namespace vecserve::net {

enum class Op : std::uint8_t { search = 0, write = 1, read = 2, other = 3 };
inline constexpr std::size_t kOps = 4;
[[nodiscard]] Op op_of(Verb verb);
[[nodiscard]] std::string_view to_string(Op op);

enum class Stage : std::uint8_t { total, queue, batch, scan, rescore, fetch, run, send };
inline constexpr std::size_t kStages = 8;
[[nodiscard]] std::string_view to_string(Stage stage);

// One second, or what was asked for.
struct HistoryPoint {
  std::uint64_t unix_ms = 0;
  double seconds = 0.0;        // that it covers
  std::uint64_t searches = 0;  // answered
  std::uint64_t writes = 0;
  std::uint64_t refused = 0;  // by admission, of all kinds
  std::uint64_t search_p50_ns = 0;
  std::uint64_t search_p99_ns = 0;
  std::uint64_t search_p999_ns = 0;
  std::uint64_t write_p99_ns = 0;
  std::uint64_t queued = 0;      // works that wait for a search lane, now
  std::uint32_t lanes_busy = 0;  // of searches, now
  double batch_mean = 0.0;       // works of a search batch
};

class ServerStats {
 public:
  // `serving` and `clock` must outlive it.
  ServerStats(const Serving& serving, const engine::Clock& clock);

  void record(const ReplyRecord& reply);
  // Ends the current point of the history; call about once a second.
  void tick();

  [[nodiscard]] std::vector<HistoryPoint> history() const;  // oldest first
  [[nodiscard]] std::vector<SlowRequest> slowest() const;

  // Everything recorded so far.
  void read(Op op, Stage stage, engine::Histogram& out) const;
  void read_batch_sizes(engine::Histogram& out) const;  // works of the batch that a search rode in
  [[nodiscard]] std::uint64_t outcomes(Op op, StatusCode code) const;
  // Of those that ended as deadline_exceeded: before the engine began, or after.
  [[nodiscard]] std::uint64_t expired(bool began) const;
  [[nodiscard]] std::uint64_t certified() const;  // searches whose answers are proven exact
  [[nodiscard]] const Serving& serving() const { return serving_; }
  [[nodiscard]] const engine::Clock& clock() const { return clock_; }

 private:
  static constexpr std::size_t kCodes = 15;  // of StatusCode
  [[nodiscard]] HistoryPoint make_point();

  const Serving& serving_;
  const engine::Clock& clock_;

  // Any thread.
  std::array<std::array<engine::SharedHistogram, kStages>, kOps> times_;
  engine::SharedHistogram batch_sizes_;
  std::array<std::array<std::atomic<std::uint64_t>, kCodes>, kOps> outcomes_{};
  std::array<std::atomic<std::uint64_t>, 2> expired_{};
  std::atomic<std::uint64_t> certified_{0};
  SlowLog slow_;

  // Guarded by mutex_: reading of the histograms, and the history.
  mutable std::mutex mutex_;
  std::vector<HistoryPoint> history_;  // a ring once it is full
  std::size_t history_next_ = 0;
  std::chrono::steady_clock::time_point ticked_;
  DispatchStats searches_before_;
  std::uint64_t refused_before_ = 0;
};

}  // namespace vecserve::net
