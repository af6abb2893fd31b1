// The real server in this process, reached through the client library: both policies of a batch
// service, and real scans. Main thread calls; the server has threads of its own.
// Nothing here depends on how fast the host is: floods are larger than any admission lets in.
#include "tools/batchd/service_host.h"

#include <catch2/catch.hpp>
#include <future>
#include <vector>

#include "tools/batchd/timed_device.h"
#include "vecserve/client.h"

using namespace vecserve;
using namespace vecserve::batchd;

namespace {

Client client_of(const ServiceHost& host) {
  ClientOptions options;
  options.address = host.address();
  options.throttle = false;
  Result<Client> client = Client::connect(options);
  REQUIRE(client.ok());
  return std::move(client).value();
}

// So many searches at once, each with 20 ms to live: how many were answered, and how many refused.
struct Answers {
  int ok = 0, refused = 0, other = 0;
};
Answers flood(Client& client, int searches) {
  const std::vector<float> vector(8, 0.5F);
  const std::vector<Query> queries = {Query(vector)};
  CallOptions call;
  call.timeout = std::chrono::seconds(20);
  call.attempts_max = 1;
  std::vector<std::future<Reply<SearchResult>>> replies;
  for (int i = 0; i < searches; ++i) {
    auto [done, reply] = promised<SearchResult>();
    client.async_search("loadgen", queries, {}, call, std::move(done));
    replies.push_back(std::move(reply));
  }
  Answers answers;
  for (auto& reply : replies) {
    const StatusCode code = reply.get().status().code();
    ++(code == StatusCode::ok                   ? answers.ok
       : code == StatusCode::resource_exhausted ? answers.refused
                                                : answers.other);
  }
  return answers;
}

}  // namespace

TEST_CASE("service host: bounded refuses what it cannot do in time, unbounded takes everything") {
  for (const Policy policy : {Policy::bounded, Policy::unbounded}) {
    CAPTURE(to_string(policy));
    BatchServiceOptions service;
    service.policy = policy;
    TimedDeviceOptions operation;
    operation.batch_cost = service.batch_cost;
    operation.request_cost = service.request_cost;
    operation.on_processor = false;
    TimedDevice device(operation);
    ServiceHostOptions options;
    options.dim = 8;
    options.serving = serving_of(service);
    options.device = &device;
    auto host = ServiceHost::start(options);
    REQUIRE(host.ok());
    Client client = client_of(**host);
    static_cast<void>(flood(client, 32));  // teaches what a batch costs
    const Answers answers = flood(client, 900);
    CHECK(answers.ok + answers.refused == 900);
    CHECK(answers.other == 0);
    CHECK(answers.ok > 0);
    if (policy == Policy::unbounded) {
      CHECK(answers.refused == 0);
    } else {
      CHECK(answers.refused > 0);
    }
  }
}

TEST_CASE("service host: without a device it scans the rows it was given") {
  ServiceHostOptions options;
  options.dim = 8;
  options.rows = 1'500;
  auto host = ServiceHost::start(options);
  REQUIRE(host.ok());
  Client client = client_of(**host);
  const std::vector<float> vector(8, 0.5F);
  const Reply<SearchResult> found = client.search("loadgen", Query(vector), {.k = 5});
  REQUIRE(found.ok());
  CHECK(found->of(0).size() == 5);
  CHECK(found->rows_visible == 1'500);
}

TEST_CASE("service host: an address that cannot be is refused") {
  ServiceHostOptions options;
  options.listen = "nowhere";
  CHECK_FALSE(ServiceHost::start(options).ok());
  options.listen = "127.0.0.1:0";
  options.serving.searches.lanes = 0;
  CHECK(ServiceHost::start(options).status().field() == "lanes");
}
