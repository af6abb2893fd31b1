// What there is to say about a request only when a server answers it: how urgent it is, where its
// time went, and when to come back after a refusal. Shared by the client, the wire and the server.
// Plain values. The numbers of the enumerators are sent over the wire: they never change.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "vecserve/export.h"

namespace vecserve {

// How urgent a request is. A class is served before those behind it, but for a small share that
// each of them keeps; under overload the last class is refused first.
enum class Priority : std::uint8_t {
  interactive = 0,  // somebody waits for it
  bulk = 1,         // a program that wants throughput
  background = 2,   // whenever there is room
};
inline constexpr std::uint32_t kPriorityCount = 3;

[[nodiscard]] VECSERVE_API std::string_view to_string(Priority priority);

// How busy a server is, for clients that throttle themselves, choose a replica or hedge.
struct ServerLoad {
  double level = 0.0;         // predicted wait over the most that is admitted; from 1 on: refused
  std::uint32_t queued = 0;   // queries that wait
  std::uint32_t spare = 0;    // queries that would ride along in the next batch
  std::uint32_t credits = 0;  // queries this connection may have in flight and expect admission
  std::uint64_t wait_ns = 0;  // predicted, of an interactive query that came now
};

// Where the time of a request went inside the server, in nanoseconds. A stage that a request does
// not go through is 0.
struct ServedStages {
  std::uint64_t queue_ns = 0;       // admitted, until its batch closed
  std::uint64_t batch_ns = 0;       // from there until the engine began with it
  std::uint64_t scan_ns = 0;        // preparing and proposing candidates
  std::uint64_t rescore_ns = 0;     // deciding among them
  std::uint64_t fetch_ns = 0;       // ids, payloads and vectors of the answers
  std::uint64_t run_ns = 0;         // the engine's part in all; the three above are within
  std::uint64_t send_ns = 0;        // from the engine's end until the reply stood in the outbox
  std::uint64_t total_ns = 0;       // from the last byte of the request to there
  std::uint32_t batch_size = 0;     // requests that were served together
  std::uint32_t batch_queries = 0;  // and their queries
  bool certified = false;           // every answer in it is proven exact
  std::string backend{};            // what proposed the candidates, such as "cpu/avx512"
  ServerLoad load{};
};

// What a refusal for lack of time or room says about coming back.
struct RetryAdvice {
  std::chrono::microseconds predicted_wait{0};  // how long the request would have waited
  std::chrono::microseconds retry_after{0};     // not sooner than this
};

}  // namespace vecserve
