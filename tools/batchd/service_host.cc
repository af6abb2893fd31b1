// Database, serving core and server put together and taken apart in order. Any thread. Always
// holds: the server goes before the serving core, and that before the database.
// Nothing in here decides how a request is served: that is the serving core's.
#include "tools/batchd/service_host.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "net/server.h"
#include "tools/loadgen/random.h"
#include "vecserve/database.h"

namespace vecserve::batchd {
namespace {

constexpr std::uint64_t kRowsAtOnce = 1'000;
// Bounds of the unbounded policy's books: far beyond what a run of minutes leaves unanswered.
constexpr std::uint32_t kUnboundedWorks = 1u << 22;
constexpr std::uint32_t kConnectionRequests = 1'000'000;  // the most that a server allows

Status fill(Collection& rows, const ServiceHostOptions& options) {
  std::vector<float> block;
  for (std::uint64_t first = 0; first < options.rows; first += kRowsAtOnce) {
    const std::uint64_t count = std::min(kRowsAtOnce, options.rows - first);
    block.resize(count * options.dim);
    loadgen::Random random(options.seed, first);
    for (float& x : block) x = static_cast<float>(2.0 * random.uniform() - 1.0);
    std::vector<RowInput> inputs(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      inputs[i].id = RowId(first + i);
      inputs[i].vector = std::span(std::as_const(block)).subspan(i * options.dim, options.dim);
    }
    VECSERVE_TRY(rows.upsert(inputs).status());
  }
  return {};
}

}  // namespace

struct ServiceHost::State {
  engine::SystemClock clock;
  std::optional<Database> database;
  std::optional<net::Serving> serving;
  std::optional<net::Server> server;
};

net::ServingOptions serving_of(const BatchServiceOptions& options) {
  net::ServingOptions serving;
  net::DispatchOptions& searches = serving.searches;
  searches.lanes = 1;  // the operation keeps one processor, or its device, busy
  searches.batch_max = options.batch_max;
  searches.first_guess = options.batch_cost + options.request_cost * options.batch_max;
  if (options.policy == Policy::unbounded) {
    searches.admission = net::Admission::unbounded;
    searches.works_max = searches.peer_works_max = kUnboundedWorks;
    searches.bytes_max = std::size_t{1} << 34;
  }
  serving.writes.lanes = 1;
  serving.reads.lanes = 1;
  return serving;
}

ServiceHost::ServiceHost(std::unique_ptr<State> state) : state_(std::move(state)) {}

ServiceHost::~ServiceHost() {
  state_->server->stop();
}

Result<std::unique_ptr<ServiceHost>> ServiceHost::start(const ServiceHostOptions& options) {
  VECSERVE_TRY(options.serving.validate());
  auto state = std::make_unique<State>();
  DatabaseOptions in_memory;
  in_memory.in_memory = true;
  in_memory.threads = 1;
  Result<Database> database = Database::open("", in_memory);
  if (!database.ok()) return database.status();
  state->database.emplace(std::move(database).value());
  CollectionOptions shape;
  shape.dim = options.dim;
  Result<Collection> rows = state->database->create_collection(options.collection, shape);
  if (!rows.ok()) return rows.status();
  VECSERVE_TRY(fill(*rows, options));
  if (options.device != nullptr) {
    state->serving.emplace(options.serving, state->clock, *options.device);
  } else {
    state->serving.emplace(options.serving, state->clock);
  }
  VECSERVE_TRY(state->serving->start());
  net::ServerOptions server;
  server.listen = {options.listen};
  const bool unbounded = options.serving.searches.admission == net::Admission::unbounded;
  if (unbounded) {
    server.connection_requests_max = kConnectionRequests;
    server.connection_bytes_max = server.total_bytes_max = options.serving.searches.bytes_max;
  }
  state->server.emplace(std::move(server), *state->database, *state->serving, state->clock);
  VECSERVE_TRY(state->server->start());
  return std::unique_ptr<ServiceHost>(new ServiceHost(std::move(state)));
}

std::string ServiceHost::address() const {
  return state_->server->addresses().front();
}

}  // namespace vecserve::batchd
