// What can be asked of a server, as values, and their bytes in both directions: the client encodes,
// the server decodes. After frame, before admission. Pure functions, any thread.
// Always holds: a decoded request is within the limits of the API in every length and count, so
// that nothing behind it allocates by what a stranger says. Values (NaN, zero vectors, filters) are
// judged by the engine. Texts and vectors are views: into the body when decoded, into what the
// caller owns when encoded, and valid as long as that is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/frame.h"
#include "vecserve/options.h"
#include "vecserve/serving.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::net {

// The first request of every connection. The server picks the highest version that both speak.
struct HelloRequest {
  std::uint8_t version_min = kVersionMin;
  std::uint8_t version_max = kVersionMax;
  std::string_view client{};   // a name for logs; at most 128 bytes
  std::string_view token{};    // "" for none
  std::uint64_t features = 0;  // one bit each; none are defined yet
};

// ping, list_collections, database_stats, verify
struct EmptyRequest {};

struct CancelRequest {
  std::uint64_t target = 0;   // request id; of this connection
  bool waiting_only = false;  // leave it alone if it runs already
};

struct CreateRequest {
  std::string_view collection{};
  CollectionOptions options{};
};

// drop_collection, collection_options, collection_stats
struct CollectionRequest {
  std::string_view collection{};
};

// upsert, insert, update
struct WriteRequest {
  std::string_view collection{};
  std::vector<RowInput> rows{};
  WriteOptions options{};
};

struct EraseRequest {
  std::string_view collection{};
  std::vector<RowId> ids{};
  WriteOptions options{};
};

struct EraseWhereRequest {
  std::string_view collection{};
  std::string_view filter{};
  WriteOptions options{};
};

struct SearchRequest {
  std::string_view collection{};
  std::vector<Query> queries{};
  std::uint32_t k = 10;
  std::string_view filter{};
  bool with_payload = false;
  bool with_vector = false;
  // As in SearchOptions; absent: an exact answer. What a server that does not know them gives.
  std::optional<double> recall{};
  std::optional<std::uint32_t> ef{};
  bool explain = false;  // passed over by a server that does not know it
};

struct RangeSearchRequest {
  std::string_view collection{};
  std::vector<Query> queries{};  // their k is ignored
  double radius = 0.0;
  std::uint32_t limit = 10'000;
  std::string_view filter{};
  bool with_payload = false;
  bool with_vector = false;
  bool explain = false;
};

// get and exists (exactly one id), multi_get
struct GetRequest {
  std::string_view collection{};
  std::vector<RowId> ids{};
  bool with_payload = true;  // not for exists
  bool with_vector = true;
};

struct CountRequest {
  std::string_view collection{};
  std::string_view filter{};
};

// Answered by any number of frames, all but the last with kFlagMore. Stop it with cancel.
struct ScanRequest {
  std::string_view collection{};
  std::optional<RowId> after{};
  std::string_view filter{};
  bool with_payload = true;
  bool with_vector = true;
  std::uint32_t page_rows = limits::scan_page_rows_default;  // rows per frame; 1 to 100,000
  std::uint64_t rows_max = 0;                                // in all; 0: no end but the end
};

// The server puts it into its own folder of checkpoints; names are those of collections.
struct CheckpointRequest {
  std::string_view name{};
};

// Copies and verifies a checkpoint to a new database folder beside it, to be opened by a server
// that is started on it. Changes nothing of the running database.
struct RestoreRequest {
  std::string_view checkpoint{};
  std::string_view name{};
};

using RequestBody =
    std::variant<EmptyRequest, HelloRequest, CancelRequest, CreateRequest, CollectionRequest,
                 WriteRequest, EraseRequest, EraseWhereRequest, SearchRequest, RangeSearchRequest,
                 GetRequest, CountRequest, ScanRequest, CheckpointRequest, RestoreRequest>;

// What every request carries beside its body.
struct RequestEnvelope {
  Verb verb = Verb::ping;
  std::uint64_t id = 0;
  Priority priority = Priority::interactive;
  std::uint32_t deadline_us = 0;  // 0: none
  std::uint8_t version = kVersionMax;
};

// Whether a body of this type belongs to the verb.
[[nodiscard]] bool fits(Verb verb, const RequestBody& body);

// Appends one frame. invalid_argument, with nothing appended, if the body does not fit the verb or
// the frame would exceed `body_bytes_max`. What the server would refuse is not looked for.
[[nodiscard]] Status encode_request(const RequestEnvelope& envelope, const RequestBody& request,
                                    std::size_t body_bytes_max, std::string& out);

// Reads the body of a request. unimplemented: an unknown verb, or a field that must be obeyed and
// is unknown; invalid_argument: anything else, with the field. `request` is unspecified then.
// Costs one pass over the body; vectors and texts are not copied.
[[nodiscard]] Status decode_request(const FrameHeader& header, std::string_view body,
                                    RequestBody& request);

// The collection that a decoded request is about; "" when it is about none.
[[nodiscard]] std::string_view collection_of(const RequestBody& request);

}  // namespace vecserve::net
