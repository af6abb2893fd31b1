// The client: the whole public API over the wire, from any thread, many calls on one connection.
// In a library of its own (libvecserve_client.so), so that embedding the database pulls in no TLS.
//
//   auto client = vecserve::Client::connect({.address = "127.0.0.1:7411"});
//   auto found = client->search("books", query, {.k = 3});
//   if (found.ok()) use(found->of(0), found.info().server.scan_ns);
//
// What every call keeps to:
//  - It comes in two forms: one that waits for the reply, and async_..., which returns at once and
//    hands the reply to a callback exactly once, on the client's own thread. A callback must not
//    wait (for another reply least of all) or throw, but may begin calls. promised() makes a future
//    of it.
//  - What is passed in is read before the call returns: views need not live longer, async or not.
//  - It ends by its timeout at the latest, with deadline_exceeded.
//  - When the connection is lost it is made again, with backoff and jitter, and the call is sent
//    again within its timeout and attempts. Every write carries a request id that the server
//    remembers durably, so that one that is sent again is applied once. Creating and dropping
//    collections and checkpoints is not sent a second time.
//  - `unavailable` or `deadline_exceeded` for a write leave open whether it was applied: repeat it
//    with the same WriteOptions::request_id to find out.
//  - It means what the call of that name in collection.h and database.h means, and fails the same.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vecserve/collection.h"
#include "vecserve/database.h"
#include "vecserve/export.h"
#include "vecserve/options.h"
#include "vecserve/serving.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve {

namespace net {
class ClientCore;
}  // namespace net

inline constexpr std::uint16_t kDefaultPort = 7411;

struct TlsOptions {
  bool enabled = false;
  std::string ca_file{};           // PEM of who may sign the server; "": the system's authorities
  std::string server_name{};       // the name in its certificate; "": the host of the address
  std::string certificate_file{};  // PEM, to show to the server; "": none
  std::string key_file{};          // of that certificate
};

struct VECSERVE_API ClientOptions {
  // -- Where, and as whom -----------------------------------------------------------------------

  std::string address = "127.0.0.1:7411";  // "HOST:PORT", "[IPV6]:PORT" or "unix:/PATH"
  std::string token{};          // "": none; sent only over TLS, loopback or a Unix socket
  bool token_in_clear = false;  // send it over anything else too
  TlsOptions tls{};

  // -- Time -------------------------------------------------------------------------------------

  // Of a call that names none, its waiting for a connection and its retries included.
  std::chrono::microseconds timeout{30'000'000};
  // Of one attempt to connect: resolving, TLS and greeting included.
  std::chrono::milliseconds connect_timeout{5'000};
  // Between attempts to connect: a random time between half and all of a span that doubles.
  std::chrono::milliseconds backoff_min{20};
  std::chrono::milliseconds backoff_max{5'000};

  // -- How much ---------------------------------------------------------------------------------

  // Connections that calls are spread over; more help only when one core cannot feed the wire.
  std::uint32_t connections = 1;  // 1 to 1,024
  // Bounds of what waits for a reply, over all connections; beyond it, resource_exhausted.
  std::uint32_t calls_max = 65'536;
  std::size_t call_bytes_max = std::size_t{1} << 30;

  // -- Retries and throttling -------------------------------------------------------------------

  // Times that a call is sent at most, 1 to 10: again after a lost connection or a refusal that
  // says when to come back. One call in ten, over time, may be sent again.
  std::uint32_t attempts_max = 3;
  // Refuse calls here, at random, when the server refused more than half of the last two minutes'
  // calls, so that it need not. Off: for measuring.
  bool throttle = true;

  // Identifies this client in the request ids of its writes. 0: random.
  std::uint64_t client_id = 0;

  [[nodiscard]] Status validate() const;
};

struct CallOptions {
  std::optional<std::chrono::microseconds> timeout{};  // nullopt: ClientOptions::timeout
  Priority priority = Priority::interactive;
  std::optional<std::uint32_t> attempts_max{};  // nullopt: ClientOptions::attempts_max
};

// What is known about a call besides its answer.
struct CallInfo {
  std::chrono::steady_clock::time_point called;    // when the call was made
  std::chrono::steady_clock::time_point sent;      // when its last attempt went to the socket
  std::chrono::steady_clock::time_point received;  // when its reply was read
  std::uint32_t attempts = 0;                      // 0: it never left this process
  bool throttled = false;                          // refused here, the server was not asked
  ServedStages server;  // where the server spent its time, as it says itself
  RetryAdvice retry;    // of a refusal
};

// A Result with the story of the call.
template <typename T>
class [[nodiscard]] Reply : public Result<T> {
 public:
  Reply(Result<T> result, CallInfo info) : Result<T>(std::move(result)), info_(std::move(info)) {}
  [[nodiscard]] const CallInfo& info() const { return info_; }

 private:
  CallInfo info_;
};

// The value of a reply that has none.
struct Nothing {};

template <typename T>
using Callback = std::function<void(Reply<T>)>;

// Names a running call; 0 is never one.
using CallId = std::uint64_t;

// A callback, and the future that it fulfils:
//   auto [done, future] = vecserve::promised<SearchResult>();
//   client.async_search("books", queries, {}, done);
template <typename T>
struct Promised {
  Callback<T> done;
  std::future<Reply<T>> reply;
};

template <typename T>
[[nodiscard]] Promised<T> promised() {
  auto promise = std::make_shared<std::promise<Reply<T>>>();
  auto future = promise->get_future();
  return {[promise](Reply<T> reply) { promise->set_value(std::move(reply)); }, std::move(future)};
}

// What recall() takes back.
enum class Recall : std::uint8_t {
  if_waiting,  // a call that the server has not begun; one that runs is left alone
  always,      // one that runs is stopped too, at its next step
};

// What the server said of itself when the connection was made.
struct ServerInfo {
  std::string version;
  std::uint32_t protocol = 0;
  std::size_t frame_bytes_max = 0;
  std::vector<std::string> features;
};

struct ClientStats {
  std::uint64_t calls = 0;      // begun
  std::uint64_t replies = 0;    // that came back, whatever they said
  std::uint64_t refused = 0;    // of these, refused for lack of room or time
  std::uint64_t throttled = 0;  // refused here
  std::uint64_t retries = 0;    // calls sent again
  std::uint64_t connects = 0;   // connections made, the first ones included
  std::uint64_t in_flight = 0;  // calls waiting for their reply
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint32_t connections_up = 0;
};

// A walk over the rows of a collection in id order, page by page. Not for concurrent use by several
// threads; must not outlive its Client. Each page shows the rows as they are when it is asked for:
// a row that is written meanwhile may or may not appear, one that is there throughout appears once.
class VECSERVE_API RemoteCursor {
 public:
  RemoteCursor(RemoteCursor&&) noexcept;
  RemoteCursor& operator=(RemoteCursor&&) noexcept;
  ~RemoteCursor();

  // The next rows, at most `limit` (1 to 100,000) and as many as fit into one frame; none when the
  // walk is past the end.
  [[nodiscard]] Reply<std::vector<Row>> next(std::uint32_t limit);
  [[nodiscard]] bool done() const;

 private:
  friend class Client;
  struct State;
  explicit RemoteCursor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Movable; closes itself when destroyed. Any thread may call any member at any time.
class VECSERVE_API Client {
 public:
  // Blocks until the first connection stands, connect_timeout at most. unavailable: nobody is
  // there; unauthenticated: the token or certificate is not known; failed_precondition: it speaks
  // another protocol or version.
  [[nodiscard]] static Result<Client> connect(const ClientOptions& options = {});

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Ends all calls with `cancelled` and waits for their callbacks. Not from a callback.
  void close();

  [[nodiscard]] ServerInfo server_info() const;
  [[nodiscard]] ClientStats stats() const;

  // Ends a call with `cancelled` and tells the server, which drops or stops the work. A write may
  // have been applied. No effect when its reply is on the way to the callback, or was.
  void cancel(CallId call);
  // As cancel(), but the call goes on until the server has spoken: it ends with `cancelled`, when
  // info().server.batch_size tells by 0 that it never ran, or with its answer, when that came
  // first.
  void recall(CallId call, Recall what);

  // -- The database -----------------------------------------------------------------------------

  // A round trip that asks nothing.
  [[nodiscard]] Reply<Nothing> ping(const CallOptions& call = {});
  [[nodiscard]] Reply<Nothing> create_collection(std::string_view name,
                                                 const CollectionOptions& options,
                                                 const CallOptions& call = {});
  [[nodiscard]] Reply<Nothing> drop_collection(std::string_view name, const CallOptions& call = {});
  [[nodiscard]] Reply<std::vector<std::string>> list_collections(const CallOptions& call = {});
  // `name` as of a collection; the server keeps it in its own folder of checkpoints.
  [[nodiscard]] Reply<CheckpointInfo> checkpoint(std::string_view name,
                                                 const CallOptions& call = {});
  // Copies a checkpoint to a new database folder beside it and verifies the copy, for a server that
  // is started on it. Changes nothing of the running database.
  [[nodiscard]] Reply<Nothing> restore(std::string_view checkpoint, std::string_view name,
                                       const CallOptions& call = {});
  [[nodiscard]] Reply<VerifyReport> verify(const CallOptions& call = {});
  [[nodiscard]] Reply<DatabaseStats> database_stats(const CallOptions& call = {});
  [[nodiscard]] Reply<CollectionOptions> collection_options(std::string_view collection,
                                                            const CallOptions& call = {});
  [[nodiscard]] Reply<CollectionStats> collection_stats(std::string_view collection,
                                                        const CallOptions& call = {});

  // -- Writing ----------------------------------------------------------------------------------

  [[nodiscard]] Reply<WriteResult> upsert(std::string_view collection,
                                          std::span<const RowInput> rows,
                                          const WriteOptions& options = {},
                                          const CallOptions& call = {});
  [[nodiscard]] Reply<WriteResult> insert(std::string_view collection,
                                          std::span<const RowInput> rows,
                                          const WriteOptions& options = {},
                                          const CallOptions& call = {});
  [[nodiscard]] Reply<WriteResult> update(std::string_view collection,
                                          std::span<const RowInput> rows,
                                          const WriteOptions& options = {},
                                          const CallOptions& call = {});
  [[nodiscard]] Reply<WriteResult> erase(std::string_view collection, std::span<const RowId> ids,
                                         const WriteOptions& options = {},
                                         const CallOptions& call = {});
  [[nodiscard]] Reply<WriteResult> erase_where(std::string_view collection, std::string_view filter,
                                               const WriteOptions& options = {},
                                               const CallOptions& call = {});

  // -- Searching and reading --------------------------------------------------------------------

  // The earlier of SearchOptions::deadline and the call's timeout counts. SearchOptions::cancel is
  // for callers in one process: invalid_argument when it is set; use cancel() above. A server that
  // is too old for SearchOptions::recall and ef answers exactly.
  [[nodiscard]] Reply<SearchResult> search(std::string_view collection,
                                           std::span<const Query> queries,
                                           const SearchOptions& options = {},
                                           const CallOptions& call = {});
  [[nodiscard]] Reply<SearchResult> search(std::string_view collection, const Query& query,
                                           const SearchOptions& options = {},
                                           const CallOptions& call = {});
  [[nodiscard]] Reply<SearchResult> range_search(std::string_view collection,
                                                 std::span<const Query> queries,
                                                 const RangeSearchOptions& options,
                                                 const CallOptions& call = {});
  [[nodiscard]] Reply<Row> get(std::string_view collection, const RowId& id,
                               const GetOptions& options = {}, const CallOptions& call = {});
  [[nodiscard]] Reply<std::vector<std::optional<Row>>> multi_get(std::string_view collection,
                                                                 std::span<const RowId> ids,
                                                                 const GetOptions& options = {},
                                                                 const CallOptions& call = {});
  [[nodiscard]] Reply<bool> exists(std::string_view collection, const RowId& id,
                                   const CallOptions& call = {});
  [[nodiscard]] Reply<std::uint64_t> count(std::string_view collection,
                                           std::string_view filter = {},
                                           const CallOptions& call = {});
  // Asks nothing yet; every page is a call of its own with these options.
  [[nodiscard]] RemoteCursor scan(std::string_view collection, const ScanOptions& options = {},
                                  const CallOptions& call = {});

  // -- The same, without waiting ----------------------------------------------------------------

  // Each returns at once; even a call that is refused here ends in its callback.
  CallId async_ping(const CallOptions& call, Callback<Nothing> done);
  CallId async_upsert(std::string_view collection, std::span<const RowInput> rows,
                      const WriteOptions& options, const CallOptions& call,
                      Callback<WriteResult> done);
  CallId async_insert(std::string_view collection, std::span<const RowInput> rows,
                      const WriteOptions& options, const CallOptions& call,
                      Callback<WriteResult> done);
  CallId async_update(std::string_view collection, std::span<const RowInput> rows,
                      const WriteOptions& options, const CallOptions& call,
                      Callback<WriteResult> done);
  CallId async_erase(std::string_view collection, std::span<const RowId> ids,
                     const WriteOptions& options, const CallOptions& call,
                     Callback<WriteResult> done);
  CallId async_erase_where(std::string_view collection, std::string_view filter,
                           const WriteOptions& options, const CallOptions& call,
                           Callback<WriteResult> done);
  CallId async_search(std::string_view collection, std::span<const Query> queries,
                      const SearchOptions& options, const CallOptions& call,
                      Callback<SearchResult> done);
  CallId async_range_search(std::string_view collection, std::span<const Query> queries,
                            const RangeSearchOptions& options, const CallOptions& call,
                            Callback<SearchResult> done);
  CallId async_multi_get(std::string_view collection, std::span<const RowId> ids,
                         const GetOptions& options, const CallOptions& call,
                         Callback<std::vector<std::optional<Row>>> done);
  CallId async_count(std::string_view collection, std::string_view filter, const CallOptions& call,
                     Callback<std::uint64_t> done);
  CallId async_collection_stats(std::string_view collection, const CallOptions& call,
                                Callback<CollectionStats> done);

 private:
  explicit Client(std::unique_ptr<net::ClientCore> core);
  std::unique_ptr<net::ClientCore> core_;
};

}  // namespace vecserve
