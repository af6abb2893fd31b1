// The two batch services: the bounded one refuses what it cannot do in time, the naive one answers
// everything, however late. Costs are chosen so that overload is a matter of factors, not of luck.
// Main thread sends; the services own their lanes.
#include "tools/batchd/batch_service.h"

#include <catch2/catch.hpp>
#include <memory>
#include <thread>

using namespace vecserve;
using namespace vecserve::batchd;
using loadgen::Outcome;

namespace {

BatchServiceOptions options_of(Policy policy) {
  BatchServiceOptions options;
  options.policy = policy;
  options.batch_max = 4;
  options.batch_cost = std::chrono::microseconds(500);
  options.request_cost = std::chrono::microseconds(500);
  return options;
}

std::uint64_t count_of(const loadgen::Records& records, Outcome outcome) {
  std::uint64_t count = 0;
  for (const loadgen::Record& record : records.all()) count += record.outcome == outcome ? 1u : 0u;
  return count;
}

// Sends `count` requests at once and waits until all are completed.
std::unique_ptr<loadgen::Records> flood(BatchService& service, std::size_t count) {
  auto owned = std::make_unique<loadgen::Records>(std::vector<std::uint64_t>(count, 0),
                                                  std::vector<std::uint8_t>(count, 0));
  loadgen::Records& records = *owned;
  records.start(loadgen::steady_ns());
  for (std::size_t i = 0; i < count; ++i) service.send(i, 0, records);
  while (records.completed() < count) std::this_thread::yield();
  return owned;
}

}  // namespace

TEST_CASE("batchd: the naive service answers everything, late or not") {
  BatchService service(options_of(Policy::unbounded));
  const auto records = flood(service, 200);
  CHECK(count_of(*records, Outcome::ok) == 200);
  for (const loadgen::Record& record : records->all()) CHECK(record.stages.batch_size <= 4);
}

TEST_CASE("batchd: the bounded service refuses at once what it cannot do in time") {
  BatchService service(options_of(Policy::bounded));
  const auto records = flood(service, 2'000);
  CHECK(count_of(*records, Outcome::ok) >= 4);
  CHECK(count_of(*records, Outcome::refused) >= 1'000);
  CHECK(count_of(*records, Outcome::unanswered) == 0);
}

TEST_CASE("batchd: a lone request is answered by both") {
  for (const Policy policy : {Policy::bounded, Policy::unbounded}) {
    BatchService service(options_of(policy));
    const auto records = flood(service, 1);
    CHECK(count_of(*records, Outcome::ok) == 1);
    CHECK(records->all()[0].stages.batch_size == 1);
  }
}

TEST_CASE("batchd: giving up completes what waits, and the service goes on") {
  for (const Policy policy : {Policy::bounded, Policy::unbounded}) {
    BatchService service(options_of(policy));
    loadgen::Records records(std::vector<std::uint64_t>(500, 0), std::vector<std::uint8_t>(500, 0));
    records.start(loadgen::steady_ns());
    for (std::size_t i = 0; i < 500; ++i) service.send(i, 0, records);
    service.give_up();
    CHECK(records.completed() == 500);
    CHECK(count_of(*flood(service, 1), Outcome::ok) == 1);
  }
}

TEST_CASE("batchd: policies have names, and capacity is that of full batches") {
  CHECK(parse_policy("bounded") == Policy::bounded);
  CHECK(parse_policy("unbounded") == Policy::unbounded);
  CHECK_FALSE(parse_policy("naive").has_value());
  CHECK(to_string(Policy::unbounded) == "unbounded");
  CHECK(options_of(Policy::bounded).capacity() == Approx(4.0 / 2.5e-3));
}
