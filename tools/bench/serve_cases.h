// What bench_serve measures, a function per case: the server as a whole, over loopback, against the
// same engine called directly in the same run. Comes below bench_serve; main thread, with threads
// of the server and the client beside it. Always holds: what was served is compared with what the
// engine answers when it is called directly, and a difference ends the bench.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "net/server.h"
#include "net/serving.h"
#include "net/stats.h"
#include "tools/bench/bench_report.h"
#include "vecserve/database.h"

namespace vecserve::bench {

struct ServeSettings {
  CommonFlags common;
  // idle and first: rows of 128 coordinates.
  std::uint64_t rows = 10'000;
  std::uint32_t queries = 20'000;  // of idle, one at a time
  std::uint32_t starts = 20;       // of first: servers started
  // reject
  std::uint32_t rejects = 200'000;
  // throughput
  std::string data = "fashion-mnist";
  std::string data_folder = "build/bench";
  std::uint32_t connections = 32;
  std::vector<std::uint32_t> pipelined{4, 8, 16};  // requests unanswered on each, in turn
  double seconds = 1.0;                            // of each of the rounds
  std::uint32_t repeats = 9;                       // turns, odd: a median is one of them
  // memory
  std::uint32_t crowd = 256;  // connections
  double factor = 10.0;       // times the capacity
  double overload_s = 60.0;
};

// A database in memory behind a server on a free port of loopback, in this process, with the
// metrics that the daemon has.
class OwnServer {
 public:
  explicit OwnServer(Database& database, net::ServingOptions serving_options = {});
  ~OwnServer();
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;

  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  engine::SystemClock clock_;
  net::Serving serving_;
  net::ServerStats stats_;
  std::unique_ptr<net::Server> server_;
  std::string address_;
};

// One client, one query at a time: what a query costs in the server beyond the engine's call.
void measure_idle(const ServeSettings& settings);
// The very first query of a server that has just been started, and one after a quiet second.
void measure_first(const ServeSettings& settings);
// Processor time of a refusal, from the decoded frame to the reply in the outbox.
void measure_reject(const ServeSettings& settings);
// Many pipelining connections, against the engine called directly with the same batch sizes.
void measure_throughput(const ServeSettings& settings);
// Resident memory of the real server while ten times too much is asked of it.
void measure_memory(const ServeSettings& settings);

}  // namespace vecserve::bench
