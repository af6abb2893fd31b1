// Requests through the client library. Comes behind the sender; completions run on the client's
// threads. Always holds: a completion fits into the small buffer of std::function, so that making
// one allocates nothing here.
#include "tools/loadgen/client_target.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace vecserve::loadgen {
namespace {

constexpr std::uint64_t kStreamVectors = 3;
constexpr std::uint64_t kStreamIds = 4;

std::uint32_t narrow(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
}

ClientOptions client_options(const ClientTargetOptions& options) {
  ClientOptions client;
  client.address = options.address;
  client.token = options.token;
  client.connections = options.connections;
  client.timeout = options.timeout;
  client.attempts_max = 1;  // a second attempt would hide the first
  client.throttle = false;
  client.calls_max = 1'000'000;
  return client;
}

}  // namespace

Outcome outcome_of(StatusCode code, const RetryAdvice& retry) {
  switch (code) {
    case StatusCode::ok:
    case StatusCode::not_found:  // of a get or an erase: an answer like any other
      return Outcome::ok;
    case StatusCode::resource_exhausted:
      return Outcome::refused;
    case StatusCode::deadline_exceeded:
      return retry.predicted_wait.count() > 0 ? Outcome::refused : Outcome::expired;
    default:
      return Outcome::failed;
  }
}

Stages stages_of(const ServedStages& served) {
  Stages stages;
  stages.queue_ns = narrow(served.queue_ns);
  stages.batch_ns = narrow(served.batch_ns);
  stages.scan_ns = narrow(served.scan_ns);
  stages.rescore_ns = narrow(served.rescore_ns);
  // What the engine did besides: all of it for a verb that does not scan.
  const std::uint64_t named = served.scan_ns + served.rescore_ns;
  stages.fetch_ns = narrow(served.run_ns > named ? served.run_ns - named : 0);
  stages.send_ns = narrow(served.send_ns);
  stages.batch_size = served.batch_size;
  stages.told_ns = narrow(served.total_ns);
  return stages;
}

Result<std::unique_ptr<ClientTarget>> ClientTarget::connect(const ClientTargetOptions& options) {
  if (options.dim == 0 || options.rows == 0) {
    return Status::invalid_argument("rows", "rows and dim must be at least 1");
  }
  Result<Client> client = Client::connect(client_options(options));
  if (!client.ok()) return client.status();
  return std::unique_ptr<ClientTarget>(new ClientTarget(std::move(client).value(), options));
}

ClientTarget::ClientTarget(Client client, const ClientTargetOptions& options)
    : options_(options), random_(options.seed, kStreamIds), client_(std::move(client)) {
  vectors_ = static_cast<std::size_t>(std::min<std::uint64_t>(kVectorsMax, options.rows));
  coordinates_.resize(vectors_ * options.dim);
  Random random(options.seed, kStreamVectors);
  for (float& x : coordinates_) x = static_cast<float>(2.0 * random.uniform() - 1.0);
  call_.timeout = options.timeout;
  call_.priority = options.priority;
  call_.attempts_max = 1;
  search_.k = options.k;
}

void ClientTarget::give_up() {
  client_.close();
  Result<Client> again = Client::connect(client_options(options_));
  // Without a server the closed client stays, and fails every request, which is then true.
  if (again.ok()) client_ = std::move(again).value();
}

std::span<const float> ClientTarget::vector_of(std::uint64_t number) const {
  return std::span(coordinates_).subspan(number % vectors_ * options_.dim, options_.dim);
}

Status ClientTarget::prepare(const std::function<void(std::uint64_t)>& progress) {
  CallOptions patient;
  patient.timeout = std::chrono::seconds(60);
  patient.attempts_max = 3;
  CollectionOptions collection;
  collection.dim = options_.dim;
  const Status made = client_.create_collection(options_.collection, collection, patient).status();
  if (!made.ok() && made.code() != StatusCode::already_exists) return made;
  std::vector<float> block;
  for (std::uint64_t first = 0; first < options_.rows; first += kPrepareRows) {
    const std::uint64_t count = std::min(kPrepareRows, options_.rows - first);
    // Each row its own vector: a stream of its own number.
    block.resize(count * options_.dim);
    Random random(options_.seed ^ first, kStreamVectors);
    for (float& x : block) x = static_cast<float>(2.0 * random.uniform() - 1.0);
    std::vector<RowInput> rows(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      rows[i].id = RowId(first + i);
      rows[i].vector = std::span(std::as_const(block)).subspan(i * options_.dim, options_.dim);
    }
    VECSERVE_TRY(client_.upsert(options_.collection, rows, {}, patient).status());
    if (progress) progress(first + count);
  }
  return {};
}

template <typename T>
Callback<T> ClientTarget::completion(std::size_t index) {
  return [this, index](Reply<T> reply) {
    const CallInfo& info = reply.info();
    Stages stages = stages_of(info.server);
    if (info.sent > info.called) {
      stages.held_ns = narrow(
          static_cast<std::uint64_t>(std::chrono::nanoseconds(info.sent - info.called).count()));
    }
    records_->complete(index, outcome_of(reply.status().code(), info.retry), stages);
  };
}

void ClientTarget::send(std::size_t index, std::uint8_t kind, Records& records) {
  if (records_ != &records) records_ = &records;
  const RowId id(random_.below(options_.rows));
  switch (static_cast<Kind>(kind)) {
    case Kind::search: {
      const Query query(vector_of(index));
      client_.async_search(options_.collection, std::span(&query, 1), search_, call_,
                           completion<SearchResult>(index));
      return;
    }
    case Kind::upsert: {
      RowInput row;
      row.id = id;
      row.vector = vector_of(index);
      client_.async_upsert(options_.collection, std::span(&row, 1), {}, call_,
                           completion<WriteResult>(index));
      return;
    }
    case Kind::erase:
      client_.async_erase(options_.collection, std::span(&id, 1), {}, call_,
                          completion<WriteResult>(index));
      return;
    case Kind::get:
      client_.async_multi_get(options_.collection, std::span(&id, 1), get_, call_,
                              completion<std::vector<std::optional<Row>>>(index));
      return;
  }
}

}  // namespace vecserve::loadgen
