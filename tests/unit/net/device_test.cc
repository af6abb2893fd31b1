// The devices over a real database: what rides in one batch is answered as if it had come alone,
// one bad query harms nobody else, and calls run in order of the batch. Comes after dispatch_test.
// Test thread only. Always holds: answers are compared with direct calls for equality.
#include "net/device.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/batcher.h"
#include "tests/support/dice.h"
#include "vecserve/database.h"

namespace vecserve::net {
namespace {

constexpr std::uint32_t kDim = 8;

Collection filled(Database& database, const std::string& name) {
  CollectionOptions options;
  options.dim = kDim;
  Collection collection = database.create_collection(name, options).value();
  test::Dice dice(7);
  std::vector<std::vector<float>> vectors(500, std::vector<float>(kDim));
  std::vector<RowInput> rows(vectors.size());
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    for (float& x : vectors[i]) x = static_cast<float>(dice.below(100));
    rows[i].id = static_cast<std::uint64_t>(i);
    rows[i].vector = vectors[i];
    rows[i].payload = i % 2 == 0 ? R"({"even": true})" : R"({"even": false})";
  }
  REQUIRE(collection.upsert(rows).ok());
  return collection;
}

Database open_in_memory() {
  DatabaseOptions options;
  options.in_memory = true;
  return Database::open("", options).value();
}

// Keeps its own vectors and, in finish(), its answers.
class TestSearch final : public SearchWork {
 public:
  TestSearch(std::shared_ptr<Peer> peer, Call call, std::vector<std::vector<float>> vectors)
      : SearchWork(std::move(peer), {}, std::move(call)), vectors_(std::move(vectors)) {
    for (const std::vector<float>& vector : vectors_) {
      queries.emplace_back(vector);
      queries.back().k = 5;
    }
  }
  void finish(const Outcome& outcome) noexcept override { code = outcome.status.code(); }
  // What a transport does in finish().
  void keep() {
    answers.clear();
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const auto found = result().of(first() + i);
      answers.emplace_back(found.begin(), found.end());
    }
  }
  std::vector<std::vector<Neighbor>> answers;
  StatusCode code = StatusCode::ok;

 private:
  std::vector<std::vector<float>> vectors_;
};

std::vector<std::vector<float>> drawn(test::Dice& dice, std::size_t count) {
  std::vector<std::vector<float>> vectors(count, std::vector<float>(kDim));
  for (auto& vector : vectors) {
    for (float& x : vector) x = static_cast<float>(dice.below(100));
  }
  return vectors;
}

Batch batch_of(const std::vector<std::shared_ptr<Work>>& works) {
  Batch batch;
  batch.works = works;
  batch.statuses.resize(works.size());
  batch.stop = std::make_shared<CancelToken>();
  return batch;
}

TEST_CASE("search device: works of a batch get what they would get alone") {
  Database database = open_in_memory();
  const Collection collection = filled(database, "rows");
  const auto peer = std::make_shared<Peer>();
  test::Dice dice(3);
  std::vector<std::shared_ptr<Work>> works;
  for (std::size_t i = 0; i < 6; ++i) {
    auto work = std::make_shared<TestSearch>(peer, SearchWork::Call{collection, true, false, {}, 0},
                                             drawn(dice, 1 + i % 3));
    if (i % 2 == 0) work->queries[0].filter = ".even == true";
    works.push_back(work);
  }
  SearchDevice device(1);
  Batch batch = batch_of(works);
  device.run(batch);
  CHECK(batch.started != TimePoint{});
  CHECK(batch.stages.scan_ns > 0);
  for (std::size_t i = 0; i < works.size(); ++i) {
    CHECK(batch.statuses[i].ok());
    auto& work = static_cast<TestSearch&>(*works[i]);
    work.keep();
    SearchOptions options;
    options.with_payload = true;
    const SearchResult direct = collection.search(work.queries, options).value();
    for (std::size_t q = 0; q < work.queries.size(); ++q) {
      const auto expected = direct.of(q);
      CHECK(work.answers[q] == std::vector<Neighbor>(expected.begin(), expected.end()));
      for (const Neighbor& neighbor : work.answers[q]) CHECK_FALSE(neighbor.payload.empty());
    }
  }
}

TEST_CASE("search device: one bad query harms nobody else in its batch") {
  Database database = open_in_memory();
  const Collection collection = filled(database, "rows");
  const auto peer = std::make_shared<Peer>();
  test::Dice dice(4);
  std::vector<std::shared_ptr<Work>> works;
  for (int i = 0; i < 5; ++i) {
    works.push_back(std::make_shared<TestSearch>(
        peer, SearchWork::Call{collection, false, false, {}, 0}, drawn(dice, 2)));
  }
  static_cast<TestSearch&>(*works[1]).queries[1].filter = ".even ==";
  static_cast<TestSearch&>(*works[3]).queries[0].vector.dim = kDim - 1;
  SearchDevice device(1);
  Batch batch = batch_of(works);
  device.run(batch);
  for (std::size_t i = 0; i < works.size(); ++i) {
    const bool bad = i == 1 || i == 3;
    CHECK(batch.statuses[i].code() == (bad ? StatusCode::invalid_argument : StatusCode::ok));
    if (bad) continue;
    auto& work = static_cast<TestSearch&>(*works[i]);
    work.keep();
    const SearchResult direct = collection.search(work.queries).value();
    for (std::size_t q = 0; q < 2; ++q) {
      const auto expected = direct.of(q);
      CHECK(work.answers[q] == std::vector<Neighbor>(expected.begin(), expected.end()));
    }
  }
  CHECK(batch.statuses[3].field() == "vector");
}

TEST_CASE("search device: a radius makes it a range search") {
  Database database = open_in_memory();
  const Collection collection = filled(database, "rows");
  test::Dice dice(5);
  const auto work = std::make_shared<TestSearch>(
      std::make_shared<Peer>(), SearchWork::Call{collection, false, false, 9'000.0, 50},
      drawn(dice, 1));
  SearchDevice device(1);
  Batch batch = batch_of({work});
  device.run(batch);
  REQUIRE(batch.statuses[0].ok());
  work->keep();
  RangeSearchOptions options;
  options.radius = 9'000.0;
  options.limit = 50;
  const SearchResult direct = collection.range_search(work->queries, options).value();
  CHECK_FALSE(work->answers[0].empty());
  CHECK(work->answers[0].size() == direct.neighbors.size());
}

TEST_CASE("search device: an explained search tells what it read, within a radius too") {
  Database database = open_in_memory();
  const Collection collection = filled(database, "rows");
  test::Dice dice(8);
  for (const bool ranged : {false, true}) {
    SearchWork::Call call = {.collection = collection, .explain = true};
    if (ranged) call.radius = 9'000.0;
    const auto work = std::make_shared<TestSearch>(std::make_shared<Peer>(), call, drawn(dice, 1));
    SearchDevice device(1);
    Batch batch = batch_of({work});
    device.run(batch);
    REQUIRE(batch.statuses[0].ok());
    CHECK(work->result().reads.full > 0);
    CHECK(work->result().times.full_ns > 0);
  }
}

TEST_CASE("search device: a stopped batch ends as cancelled, an expired one as such") {
  Database database = open_in_memory();
  const Collection collection = filled(database, "rows");
  test::Dice dice(6);
  const auto work = std::make_shared<TestSearch>(
      std::make_shared<Peer>(), SearchWork::Call{collection, false, false, {}, 0}, drawn(dice, 1));
  SearchDevice device(1);
  Batch batch = batch_of({work});
  batch.stop->cancel();
  device.run(batch);
  CHECK(batch.statuses[0].code() == StatusCode::cancelled);
  Batch late = batch_of({work});
  late.deadline = std::chrono::steady_clock::now();
  device.run(late);
  CHECK(late.statuses[0].code() == StatusCode::deadline_exceeded);
}

TEST_CASE("search groups: the same call has the same group, any difference another") {
  Database database = open_in_memory();
  const Collection a = filled(database, "a");
  const Collection b = filled(database, "b");
  SearchGroups groups;
  const GroupId first = groups.of({a, false, false, {}, 10});
  CHECK(first != kAlone);
  CHECK(groups.of({a, false, false, {}, 20}) == first);  // without a radius no limit counts
  CHECK(groups.of({b, false, false, {}, 10}) != first);
  CHECK(groups.of({a, true, false, {}, 10}) != first);
  CHECK(groups.of({a, false, true, {}, 10}) != first);
  CHECK(groups.of({a, false, false, {}, 10, 0.95}) != first);
  CHECK(groups.of({a, false, false, {}, 10, 0.95}) == groups.of({a, false, false, {}, 10, 0.95}));
  CHECK(groups.of({a, false, false, {}, 10, 0.95}) != groups.of({a, false, false, {}, 10, 0.9}));
  CHECK(groups.of({a, false, false, {}, 10, 1.0, 30}) != first);
  CHECK(groups.of({a, false, false, {}, 10, 1.0, 0}) == first);
  CHECK(groups.of({.collection = a, .explain = true}) == kAlone);  // told of this search only
  const GroupId ranged = groups.of({a, false, false, 1.0, 10});
  CHECK(ranged != first);
  CHECK(groups.of({a, false, false, 1.0, 10}) == ranged);
  CHECK(groups.of({a, false, false, 1.0, 11}) != ranged);
  for (int i = 0; i < 2'000; ++i) static_cast<void>(groups.of({a, false, false, 2.0 + i, 10}));
  CHECK(groups.of({a, false, false, 9'999.0, 10}) == kAlone);
  CHECK(groups.of({a, false, false, {}, 10}) == first);
}

class TestCall final : public CallWork {
 public:
  TestCall(std::shared_ptr<Peer> peer, Status outcome)
      : CallWork(std::move(peer), {}), outcome_(std::move(outcome)) {}
  Status call(const std::shared_ptr<const CancelToken>&) override { return outcome_; }
  void finish(const Outcome&) noexcept override {}

 private:
  Status outcome_;
};

class HungryCall final : public CallWork {
 public:
  using CallWork::CallWork;
  Status call(const std::shared_ptr<const CancelToken>&) override { throw std::bad_alloc(); }
  void finish(const Outcome&) noexcept override {}
};

TEST_CASE("call device: each call's status is its own, and running out of memory is one") {
  const auto peer = std::make_shared<Peer>();
  Batch batch = batch_of({std::make_shared<TestCall>(peer, Status()),
                          std::make_shared<TestCall>(peer, Status(StatusCode::not_found, "no")),
                          std::make_shared<HungryCall>(peer, WorkTerms{})});
  CallDevice device;
  device.run(batch);
  CHECK(batch.statuses[0].ok());
  CHECK(batch.statuses[1].code() == StatusCode::not_found);
  CHECK(batch.statuses[2].code() == StatusCode::resource_exhausted);
}

}  // namespace
}  // namespace vecserve::net
