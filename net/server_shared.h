// What all connections of a server share: the database, the serving core, who may do what, bounds
// and counters. Made by the server before the first connection, outlives the last. Any thread.
// Always holds: counters only ever describe, nothing is decided by them but connections_strange.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/base/clock.h"
#include "net/auth_guard.h"
#include "net/outbox.h"
#include "net/server_options.h"
#include "net/serving.h"
#include "net/tokens.h"
#include "vecserve/database.h"

namespace vecserve::net {

// Since the start, except where it says "now".
struct ServerCounters {
  std::atomic<std::uint64_t> connections{0};          // now
  std::atomic<std::uint64_t> connections_strange{0};  // now, before their hello
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_refused{0};  // too many
  std::atomic<std::uint64_t> accepts_failed{0};
  std::atomic<std::uint64_t> cut_slow{0};     // did not read, or took too long to send
  std::atomic<std::uint64_t> cut_broken{0};   // bytes that are no frames
  std::atomic<std::uint64_t> cut_strange{0};  // wrong or no hello
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> replies{0};
  std::atomic<std::uint64_t> errors{0};   // replies that were errors
  std::atomic<std::uint64_t> refused{0};  // of these, by admission or a bound
  std::atomic<std::uint64_t> scans{0};    // now
  std::atomic<std::uint64_t> bytes_in{0};
  std::atomic<std::uint64_t> bytes_out{0};
};

// Conversations share in owning it, so that a work that a lane is still busy with when the server
// has stopped finds it.
struct ServerShared : std::enable_shared_from_this<ServerShared> {
  ServerShared(ServerOptions options_in, Database& database_in, Serving& serving_in,
               const engine::Clock& clock_in)
      : options(std::move(options_in)),
        database(database_in),
        serving(serving_in),
        clock(clock_in),
        bytes(options.total_bytes_max) {}

  [[nodiscard]] std::shared_ptr<const Tokens> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  void set_tokens(std::shared_ptr<const Tokens> next) {
    const std::lock_guard lock(mutex_);
    tokens_ = std::move(next);
  }
  void tell(ServerEvent::Level level, std::string_view what, std::string_view detail) const {
    if (options.on_event) options.on_event({level, what, detail});
  }

  const ServerOptions options;
  Database& database;
  Serving& serving;
  const engine::Clock& clock;
  AuthGuard guard;
  ByteTotal bytes;  // outboxes and bodies that are still arriving
  ServerCounters counters;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Tokens> tokens_ = std::make_shared<Tokens>();  // guarded by mutex_
};

}  // namespace vecserve::net
