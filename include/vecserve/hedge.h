// A client before several replicas that hold the same rows: each search goes to the better of two,
// and when it takes longer than nearly all others, a second copy goes to another replica: in the
// place of the first if that one still waits, beside it if it runs; then the first answer wins and
// the other copy is cancelled. For tails that single servers make: stalls, compactions, noisy
// neighbours. Part of libvecserve_client.so.
//
// What it keeps to: second copies and retries are at most `budget` of all calls, where one counts a
// quarter if the first was taken back before it cost anything; none while the replicas are loaded
// or have just refused. Writes are not sent through it, because they must reach every replica: use
// replica(i). Any thread may call any member at any time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "vecserve/client.h"
#include "vecserve/export.h"

namespace vecserve {

struct VECSERVE_API HedgeOptions {
  std::vector<ClientOptions> replicas{};  // 1 to 64; their attempts_max is not used here
  bool hedging = true;                    // off: the better of two replicas, and no second copies
  double budget = 0.05;                   // second copies and retries per call, 0 to 0.5
  // The load from which on nothing is hedged, as the waiting of calls shows it: 0 to 1. Stalls and
  // uneven arrivals count as load; 0.92 seen so is about 0.85 of what the replicas can do.
  double load_max = 0.92;
  // What a call should take at most; a second copy is sent after half of it at the latest.
  std::chrono::microseconds target{100'000};
  std::uint64_t seed = 1;  // of the choices between replicas

  [[nodiscard]] Status validate() const;
};

struct HedgeStats {
  std::uint64_t calls = 0;
  std::uint64_t hedges = 0;   // second copies of calls that were late
  std::uint64_t wins = 0;     // of these, how many answered first
  std::uint64_t retries = 0;  // second copies of calls whose replica was lost
  // Copies that lost, by what their servers said became of them.
  std::uint64_t cancelled_queued = 0;   // never ran
  std::uint64_t cancelled_running = 0;  // stopped on the way
  std::uint64_t wasted = 0;             // were answered all the same
  std::uint64_t no_budget = 0;          // late calls that the budget did not allow to hedge
  std::uint64_t loaded = 0;             // late calls not hedged for load, or after a refusal
  std::uint64_t learning = 0;           // calls made before there was a delay to go by
  std::chrono::nanoseconds delay{0};    // after which a cheap call is hedged; 0 while it learns
  double load = 0.0;                    // of the replicas, as their waiting shows it
};

// Movable; closes itself when destroyed.
class VECSERVE_API HedgedClient {
 public:
  // Connects to all replicas; fails as Client::connect when one of them cannot be reached.
  [[nodiscard]] static Result<HedgedClient> connect(const HedgeOptions& options);

  HedgedClient(HedgedClient&&) noexcept;
  HedgedClient& operator=(HedgedClient&&) noexcept;
  ~HedgedClient();

  // Ends all calls with `cancelled` and waits for their callbacks. Not from a callback.
  void close();

  // As Client::search; CallInfo is that of the copy that answered, `called` that of the call.
  [[nodiscard]] Reply<SearchResult> search(std::string_view collection,
                                           std::span<const Query> queries,
                                           const SearchOptions& options = {},
                                           const CallOptions& call = {});
  // As Client::async_search; the callback comes on the thread of one of the clients.
  void async_search(std::string_view collection, std::span<const Query> queries,
                    const SearchOptions& options, const CallOptions& call,
                    Callback<SearchResult> done);

  // One replica's own client, for writes and everything else.
  [[nodiscard]] Client& replica(std::size_t index);
  [[nodiscard]] std::size_t replica_count() const;
  [[nodiscard]] HedgeStats stats() const;

 private:
  struct State;
  explicit HedgedClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vecserve
