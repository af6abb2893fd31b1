// What a server answers, as values, and their bytes in both directions: the server encodes, the
// client decodes. After the engine and before the session's outbox; in the client after frame. Pure
// functions, any thread. Always holds: every reply carries where its time went, an error as well; a
// decoded reply owns all of its memory, and the decoder trusts a server no more than the server
// trusts a client.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/clock.h"
#include "net/frame.h"
#include "vecserve/collection.h"
#include "vecserve/database.h"
#include "vecserve/options.h"
#include "vecserve/serving.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::net {

// What a token allows; one bit each.
inline constexpr std::uint8_t kScopeRead = 1;   // search, range_search, get ... scan, stats
inline constexpr std::uint8_t kScopeWrite = 2;  // upsert ... erase_where
inline constexpr std::uint8_t kScopeAdmin = 4;  // create, drop, checkpoint, verify, restore
inline constexpr std::uint8_t kScopesAll = kScopeRead | kScopeWrite | kScopeAdmin;

struct HelloReply {
  std::uint8_t version = kVersionMax;  // spoken from now on
  std::string server{};                // "vecserve 0.1.0"
  std::uint64_t features = 0;          // one bit each; none are defined yet
  std::uint64_t frame_bytes_max = 0;   // body of a request
  std::uint64_t requests_max = 0;      // unanswered requests of this connection
  std::uint64_t bytes_max = 0;         // bodies of those together
  std::uint64_t idle_timeout_ms = 0;   // 0: none
  std::uint8_t scopes = 0;             // the union over all collections
};

struct EmptyReply {};  // ping, cancel, drop_collection, create_collection, restore

struct ListReply {
  std::vector<std::string> names{};
};

// get (one entry), multi_get, a page of scan (no entry is empty). The rows of one frame.
struct RowsReply {
  std::vector<std::optional<Row>> rows{};
};

struct CountReply {
  std::uint64_t count = 0;  // exists: 0 or 1
};

struct ErrorReply {
  Status status{};  // never ok
  RetryAdvice retry{};
  std::uint8_t version_min = 0;  // spoken by the server; 0 unless the version was to blame
  std::uint8_t version_max = 0;
};

using ReplyBody = std::variant<EmptyReply, HelloReply, ErrorReply, ListReply, CollectionOptions,
                               CollectionStats, WriteResult, SearchResult, RowsReply, CountReply,
                               DatabaseStats, CheckpointInfo, VerifyReport>;

// A decoded reply.
struct Reply {
  Verb verb = Verb::ping;
  std::uint64_t request_id = 0;
  bool more = false;
  ServedStages served{};
  ReplyBody body{};
};

// Lets encoding itself count: send_ns and total_ns are taken when the answer is encoded.
struct SendTimer {
  const engine::Clock* clock = nullptr;  // none: both are what the caller says
  std::chrono::steady_clock::time_point arrived{};
  std::chrono::steady_clock::time_point done{};  // when the engine was done
};

// Which request is answered.
struct ReplyEnvelope {
  Verb verb = Verb::ping;
  std::uint64_t request_id = 0;
  bool more = false;
  std::uint8_t version = kVersionMax;
  SendTimer timer{};
};

// Queries [first, first + count) of a search result, for requests that were served as one batch.
struct SearchSlice {
  const SearchResult* result = nullptr;
  std::size_t first = 0;
  std::size_t count = 0;
};

// Append one frame each. SearchResult::backend and stages travel in `served` alone, and what an
// explained search read, with the time it took, in the answer: present where a time is known.
// Returns what was said of where the time went.
ServedStages encode_reply(const ReplyEnvelope& envelope, const ServedStages& served,
                          const ReplyBody& body, std::string& out);
ServedStages encode_search_reply(const ReplyEnvelope& envelope, const ServedStages& served,
                                 const SearchSlice& slice, std::string& out);
ServedStages encode_error_reply(const ReplyEnvelope& envelope, const ServedStages& served,
                                const ErrorReply& error, std::string& out);

// Reads the body of a reply. The verb and the error flag of the header say what is in it.
// data_loss if it is not what a server may say; the connection is then of no further use.
[[nodiscard]] Status decode_reply(const FrameHeader& header, std::string_view body, Reply& reply);

}  // namespace vecserve::net
