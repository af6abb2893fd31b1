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

// Where the time of a request went inside the server, in nanoseconds. A stage that a request does
// not go through is 0.
struct ServedStages {
  std::uint64_t queue_ns = 0;    // admitted, waiting for a place in a batch
  std::uint64_t batch_ns = 0;    // in a batch, until the engine began with it
  std::uint64_t scan_ns = 0;     // proposing candidates; for a write, making it durable
  std::uint64_t rescore_ns = 0;  // deciding among them
  std::uint64_t send_ns = 0;     // from the engine's end until the reply stood in the outbox
  std::uint64_t total_ns = 0;    // from the last byte of the request to there
  std::uint32_t batch_size = 0;  // queries, or writes, that were served together
  bool certified = false;        // every answer in it is proven exact
  std::string backend{};         // what proposed the candidates, such as "cpu/avx512"
};

// What a refusal for lack of time or room says about coming back.
struct RetryAdvice {
  std::chrono::microseconds predicted_wait{0};  // how long the request would have waited
  std::chrono::microseconds retry_after{0};     // not sooner than this
};

}  // namespace vecserve
