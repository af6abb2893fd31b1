// The public Client: turns calls into requests and replies into results. Above the core; runs on
// the callers' threads, its callbacks on the client's. Keeps exceptions inside.
// Always holds: the blocking form of a call is the other one with a future.
#include "vecserve/client.h"

#include <new>
#include <type_traits>
#include <utility>

#include "net/client_core.h"

namespace vecserve {

namespace {

using net::ClientCore;
using net::RequestBody;
using net::Verb;

Status strange() {
  return {StatusCode::internal, "the server answered something else"};
}

// The answer of type T out of a reply's body.
template <typename T>
Result<T> take(net::Reply& reply) {
  if constexpr (std::is_same_v<T, Nothing>) {
    if (std::holds_alternative<net::EmptyReply>(reply.body)) return Nothing{};
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    if (auto* const list = std::get_if<net::ListReply>(&reply.body)) return std::move(list->names);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (auto* const count = std::get_if<net::CountReply>(&reply.body)) return count->count;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (auto* const count = std::get_if<net::CountReply>(&reply.body)) return count->count > 0;
  } else if constexpr (std::is_same_v<T, std::vector<std::optional<Row>>>) {
    if (auto* const page = std::get_if<net::RowsReply>(&reply.body)) return std::move(page->rows);
  } else if constexpr (std::is_same_v<T, Row>) {
    auto* const page = std::get_if<net::RowsReply>(&reply.body);
    if (page != nullptr && page->rows.size() == 1 && page->rows[0]) {
      return std::move(*page->rows[0]);
    }
  } else if constexpr (std::is_same_v<T, std::vector<Row>>) {
    if (auto* const page = std::get_if<net::RowsReply>(&reply.body)) {
      std::vector<Row> rows;
      rows.reserve(page->rows.size());
      for (std::optional<Row>& row : page->rows) {
        if (row) rows.push_back(std::move(*row));
      }
      return rows;
    }
  } else if constexpr (std::is_same_v<T, SearchResult>) {
    if (auto* const found = std::get_if<SearchResult>(&reply.body)) {
      found->backend = reply.served.backend;
      // A server counts preparing as scanning; an explained reply says how much of it that was.
      found->stages.scan_ns =
          reply.served.scan_ns - std::min(reply.served.scan_ns, found->stages.prepare_ns);
      found->stages.rescore_ns = reply.served.rescore_ns;
      found->stages.fetch_ns = reply.served.fetch_ns;
      return std::move(*found);
    }
  } else {
    if (auto* const value = std::get_if<T>(&reply.body)) return std::move(*value);
  }
  return strange();
}

template <typename T>
CallId begin(ClientCore& core, Verb verb, const RequestBody& body, const CallOptions& call,
             Callback<T> done, Deadline deadline = kNoDeadline) {
  return core.begin(
      verb, body, call, deadline,
      [done = std::move(done)](const Status& status, net::Reply& reply, const CallInfo& info) {
        done(Reply<T>(status.ok() ? take<T>(reply) : Result<T>(status), info));
      });
}

// Refused before it is a call: the core sees nothing of it.
template <typename T>
CallId refuse(const Status& status, const Callback<T>& done) {
  CallInfo info;
  info.called = std::chrono::steady_clock::now();
  done(Reply<T>(status, info));
  return 0;
}

// Runs the callback form and waits. On the client's own thread that would wait for itself.
template <typename T, typename Start>
Reply<T> wait_for(const ClientCore& core, Start start) {
  if (core.on_own_thread()) {
    return {Status(StatusCode::failed_precondition, "a callback must not wait for a reply"), {}};
  }
  auto [done, reply] = promised<T>();
  start(std::move(done));
  return reply.get();
}

// As begin, and waits.
template <typename T>
Reply<T> ask(ClientCore& core, Verb verb, const RequestBody& body, const CallOptions& call,
             Deadline deadline = kNoDeadline) {
  return wait_for<T>(
      core, [&](Callback<T> done) { begin<T>(core, verb, body, call, std::move(done), deadline); });
}

WriteOptions named(ClientCore& core, const WriteOptions& options) {
  WriteOptions with_id = options;
  if (with_id.request_id.empty()) with_id.request_id = core.next_request_id();
  return with_id;
}

RequestBody write_of(ClientCore& core, std::string_view collection, std::span<const RowInput> rows,
                     const WriteOptions& options) {
  return net::WriteRequest{collection, {rows.begin(), rows.end()}, named(core, options)};
}

RequestBody get_of(std::string_view collection, std::span<const RowId> ids,
                   const GetOptions& options) {
  return net::GetRequest{
      collection, {ids.begin(), ids.end()}, options.with_payload, options.with_vector};
}

Status no_token() {
  return Status::invalid_argument("cancel", "is for calls in one process; use Client::cancel");
}

}  // namespace

Result<Client> Client::connect(const ClientOptions& options) {
  Result<std::unique_ptr<ClientCore>> core = ClientCore::start(options);
  VECSERVE_TRY(core.status());
  return Client(*std::move(core));
}

Client::Client(std::unique_ptr<ClientCore> core) : core_(std::move(core)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

void Client::close() {
  core_->close();
}
ServerInfo Client::server_info() const {
  return core_->server_info();
}
ClientStats Client::stats() const {
  return core_->stats();
}
void Client::cancel(CallId call) {
  core_->cancel(call);
}

void Client::recall(CallId call, Recall what) {
  core_->recall(call, what == Recall::if_waiting);
}

// ---- the database
// --------------------------------------------------------------------------------

Reply<Nothing> Client::ping(const CallOptions& call) {
  return ask<Nothing>(*core_, Verb::ping, net::EmptyRequest{}, call);
}
Reply<Nothing> Client::create_collection(std::string_view name, const CollectionOptions& options,
                                         const CallOptions& call) {
  return ask<Nothing>(*core_, Verb::create_collection, net::CreateRequest{name, options}, call);
}
Reply<Nothing> Client::drop_collection(std::string_view name, const CallOptions& call) {
  return ask<Nothing>(*core_, Verb::drop_collection, net::CollectionRequest{name}, call);
}
Reply<std::vector<std::string>> Client::list_collections(const CallOptions& call) {
  return ask<std::vector<std::string>>(*core_, Verb::list_collections, net::EmptyRequest{}, call);
}
Reply<CheckpointInfo> Client::checkpoint(std::string_view name, const CallOptions& call) {
  return ask<CheckpointInfo>(*core_, Verb::checkpoint, net::CheckpointRequest{name}, call);
}
Reply<Nothing> Client::restore(std::string_view checkpoint, std::string_view name,
                               const CallOptions& call) {
  return ask<Nothing>(*core_, Verb::restore, net::RestoreRequest{checkpoint, name}, call);
}
Reply<VerifyReport> Client::verify(const CallOptions& call) {
  return ask<VerifyReport>(*core_, Verb::verify, net::EmptyRequest{}, call);
}
Reply<DatabaseStats> Client::database_stats(const CallOptions& call) {
  return ask<DatabaseStats>(*core_, Verb::database_stats, net::EmptyRequest{}, call);
}
Reply<CollectionOptions> Client::collection_options(std::string_view collection,
                                                    const CallOptions& call) {
  return ask<CollectionOptions>(*core_, Verb::collection_options,
                                net::CollectionRequest{collection}, call);
}
Reply<CollectionStats> Client::collection_stats(std::string_view collection,
                                                const CallOptions& call) {
  return wait_for<CollectionStats>(*core_, [&](Callback<CollectionStats> done) {
    async_collection_stats(collection, call, std::move(done));
  });
}
CallId Client::async_collection_stats(std::string_view collection, const CallOptions& call,
                                      Callback<CollectionStats> done) {
  return begin(*core_, Verb::collection_stats, net::CollectionRequest{collection}, call,
               std::move(done));
}
CallId Client::async_ping(const CallOptions& call, Callback<Nothing> done) {
  return begin(*core_, Verb::ping, net::EmptyRequest{}, call, std::move(done));
}

// ---- writing
// -------------------------------------------------------------------------------------

Reply<WriteResult> Client::upsert(std::string_view collection, std::span<const RowInput> rows,
                                  const WriteOptions& options, const CallOptions& call) {
  return ask<WriteResult>(*core_, Verb::upsert, write_of(*core_, collection, rows, options), call);
}
Reply<WriteResult> Client::insert(std::string_view collection, std::span<const RowInput> rows,
                                  const WriteOptions& options, const CallOptions& call) {
  return ask<WriteResult>(*core_, Verb::insert, write_of(*core_, collection, rows, options), call);
}
Reply<WriteResult> Client::update(std::string_view collection, std::span<const RowInput> rows,
                                  const WriteOptions& options, const CallOptions& call) {
  return ask<WriteResult>(*core_, Verb::update, write_of(*core_, collection, rows, options), call);
}
Reply<WriteResult> Client::erase(std::string_view collection, std::span<const RowId> ids,
                                 const WriteOptions& options, const CallOptions& call) {
  return wait_for<WriteResult>(*core_, [&](Callback<WriteResult> done) {
    async_erase(collection, ids, options, call, std::move(done));
  });
}
Reply<WriteResult> Client::erase_where(std::string_view collection, std::string_view filter,
                                       const WriteOptions& options, const CallOptions& call) {
  return wait_for<WriteResult>(*core_, [&](Callback<WriteResult> done) {
    async_erase_where(collection, filter, options, call, std::move(done));
  });
}
CallId Client::async_upsert(std::string_view collection, std::span<const RowInput> rows,
                            const WriteOptions& options, const CallOptions& call,
                            Callback<WriteResult> done) {
  return begin(*core_, Verb::upsert, write_of(*core_, collection, rows, options), call,
               std::move(done));
}
CallId Client::async_insert(std::string_view collection, std::span<const RowInput> rows,
                            const WriteOptions& options, const CallOptions& call,
                            Callback<WriteResult> done) {
  return begin(*core_, Verb::insert, write_of(*core_, collection, rows, options), call,
               std::move(done));
}
CallId Client::async_update(std::string_view collection, std::span<const RowInput> rows,
                            const WriteOptions& options, const CallOptions& call,
                            Callback<WriteResult> done) {
  return begin(*core_, Verb::update, write_of(*core_, collection, rows, options), call,
               std::move(done));
}
CallId Client::async_erase(std::string_view collection, std::span<const RowId> ids,
                           const WriteOptions& options, const CallOptions& call,
                           Callback<WriteResult> done) {
  const net::EraseRequest body{collection, {ids.begin(), ids.end()}, named(*core_, options)};
  return begin(*core_, Verb::erase, body, call, std::move(done));
}
CallId Client::async_erase_where(std::string_view collection, std::string_view filter,
                                 const WriteOptions& options, const CallOptions& call,
                                 Callback<WriteResult> done) {
  const net::EraseWhereRequest body{collection, filter, named(*core_, options)};
  return begin(*core_, Verb::erase_where, body, call, std::move(done));
}

// ---- searching and reading
// -----------------------------------------------------------------------

Reply<SearchResult> Client::search(std::string_view collection, std::span<const Query> queries,
                                   const SearchOptions& options, const CallOptions& call) {
  return wait_for<SearchResult>(*core_, [&](Callback<SearchResult> done) {
    async_search(collection, queries, options, call, std::move(done));
  });
}
Reply<SearchResult> Client::search(std::string_view collection, const Query& query,
                                   const SearchOptions& options, const CallOptions& call) {
  return search(collection, std::span<const Query>(&query, 1), options, call);
}
CallId Client::async_search(std::string_view collection, std::span<const Query> queries,
                            const SearchOptions& options, const CallOptions& call,
                            Callback<SearchResult> done) {
  if (options.cancel != nullptr) return refuse(no_token(), done);
  net::SearchRequest body{collection,
                          {queries.begin(), queries.end()},
                          options.k,
                          options.filter,
                          options.with_payload,
                          options.with_vector};
  if (options.recall != SearchOptions().recall) body.recall = options.recall;
  if (options.ef != 0) body.ef = options.ef;
  body.explain = options.explain;
  return begin(*core_, Verb::search, body, call, std::move(done), options.deadline);
}
Reply<SearchResult> Client::range_search(std::string_view collection,
                                         std::span<const Query> queries,
                                         const RangeSearchOptions& options,
                                         const CallOptions& call) {
  return wait_for<SearchResult>(*core_, [&](Callback<SearchResult> done) {
    async_range_search(collection, queries, options, call, std::move(done));
  });
}
CallId Client::async_range_search(std::string_view collection, std::span<const Query> queries,
                                  const RangeSearchOptions& options, const CallOptions& call,
                                  Callback<SearchResult> done) {
  if (options.cancel != nullptr) return refuse(no_token(), done);
  const net::RangeSearchRequest body{collection,          {queries.begin(), queries.end()},
                                     options.radius,      options.limit,
                                     options.filter,      options.with_payload,
                                     options.with_vector, options.explain};
  return begin(*core_, Verb::range_search, body, call, std::move(done), options.deadline);
}
Reply<Row> Client::get(std::string_view collection, const RowId& id, const GetOptions& options,
                       const CallOptions& call) {
  return ask<Row>(*core_, Verb::get, get_of(collection, {&id, 1}, options), call);
}
Reply<std::vector<std::optional<Row>>> Client::multi_get(std::string_view collection,
                                                         std::span<const RowId> ids,
                                                         const GetOptions& options,
                                                         const CallOptions& call) {
  using Rows = std::vector<std::optional<Row>>;
  return ask<Rows>(*core_, Verb::multi_get, get_of(collection, ids, options), call);
}
CallId Client::async_multi_get(std::string_view collection, std::span<const RowId> ids,
                               const GetOptions& options, const CallOptions& call,
                               Callback<std::vector<std::optional<Row>>> done) {
  return begin(*core_, Verb::multi_get, get_of(collection, ids, options), call, std::move(done));
}
Reply<bool> Client::exists(std::string_view collection, const RowId& id, const CallOptions& call) {
  return ask<bool>(*core_, Verb::exists, get_of(collection, {&id, 1}, {false, false}), call);
}
Reply<std::uint64_t> Client::count(std::string_view collection, std::string_view filter,
                                   const CallOptions& call) {
  return wait_for<std::uint64_t>(*core_, [&](Callback<std::uint64_t> done) {
    async_count(collection, filter, call, std::move(done));
  });
}
CallId Client::async_count(std::string_view collection, std::string_view filter,
                           const CallOptions& call, Callback<std::uint64_t> done) {
  return begin(*core_, Verb::count, net::CountRequest{collection, filter}, call, std::move(done));
}

// ---- scan
// ----------------------------------------------------------------------------------------

struct RemoteCursor::State {
  ClientCore* core = nullptr;
  std::string collection;
  ScanOptions options;
  CallOptions call;
  bool done = false;
};

RemoteCursor::RemoteCursor(std::unique_ptr<State> state) : state_(std::move(state)) {}
RemoteCursor::RemoteCursor(RemoteCursor&&) noexcept = default;
RemoteCursor& RemoteCursor::operator=(RemoteCursor&&) noexcept = default;
RemoteCursor::~RemoteCursor() = default;

bool RemoteCursor::done() const {
  return state_->done;
}

Reply<std::vector<Row>> RemoteCursor::next(std::uint32_t limit) {
  State& at = *state_;
  if (at.done) return {std::vector<Row>(), {}};
  net::ScanRequest body;
  body.collection = at.collection;
  body.after = at.options.after;
  body.filter = at.options.filter;
  body.with_payload = at.options.with_payload;
  body.with_vector = at.options.with_vector;
  body.page_rows = limit;
  body.rows_max = limit;
  Reply<std::vector<Row>> page = ask<std::vector<Row>>(*at.core, Verb::scan, body, at.call);
  if (page.ok()) {
    at.done = page->size() < limit;
    if (!page->empty()) at.options.after = page->back().id;
  }
  return page;
}

RemoteCursor Client::scan(std::string_view collection, const ScanOptions& options,
                          const CallOptions& call) {
  auto state = std::make_unique<RemoteCursor::State>();
  state->core = core_.get();
  state->collection = std::string(collection);
  state->options = options;
  state->call = call;
  return RemoteCursor(std::move(state));
}

}  // namespace vecserve
