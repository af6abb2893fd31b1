// Requests as calls of HedgedClient. Comes behind the sender, before the rig and the tool. Always
// holds: what a completion says is what the copy that answered said.
// Nothing here decides where a request goes: that is net/hedge_policy's.
#include "tools/hedge/hedged_target.h"

#include <span>
#include <utility>

#include "tools/loadgen/client_target.h"
#include "tools/loadgen/random.h"

namespace vecserve::hedge {
namespace {

constexpr std::size_t kVectors = 1'024;
constexpr std::uint64_t kStreamVectors = 3;

HedgeOptions hedge_options(const HedgedTargetOptions& options) {
  HedgeOptions hedge = options.hedge;
  for (const std::string& address : options.addresses) {
    ClientOptions client;
    client.address = address;
    client.token = options.token;
    client.connections = options.connections;
    client.timeout = options.timeout;
    client.throttle = false;  // what is measured is the server
    client.calls_max = 1'000'000;
    hedge.replicas.push_back(std::move(client));
  }
  return hedge;
}

}  // namespace

Result<std::unique_ptr<HedgedTarget>> HedgedTarget::connect(const HedgedTargetOptions& options) {
  if (options.dim == 0) return Status::invalid_argument("dim", "must be at least 1");
  Result<HedgedClient> client = HedgedClient::connect(hedge_options(options));
  if (!client.ok()) return client.status();
  return std::unique_ptr<HedgedTarget>(new HedgedTarget(std::move(client).value(), options));
}

HedgedTarget::HedgedTarget(HedgedClient client, const HedgedTargetOptions& options)
    : options_(options), coordinates_(kVectors * options.dim), client_(std::move(client)) {
  loadgen::Random random(options.seed, kStreamVectors);
  for (float& x : coordinates_) x = static_cast<float>(2.0 * random.uniform() - 1.0);
  search_.k = options.k;
  call_.timeout = options.timeout;
}

void HedgedTarget::send(std::size_t index, std::uint8_t /*kind*/, loadgen::Records& records) {
  const std::span<const float> vectors(coordinates_);
  const Query query(vectors.subspan(index % kVectors * options_.dim, options_.dim));
  client_.async_search(options_.collection, std::span(&query, 1), search_, call_,
                       [&records, index](const Reply<SearchResult>& reply) {
                         records.complete(index, loadgen::outcome_of(reply.status().code()),
                                          loadgen::stages_of(reply.info().server));
                       });
}

void HedgedTarget::give_up() {
  client_.close();
}

}  // namespace vecserve::hedge
