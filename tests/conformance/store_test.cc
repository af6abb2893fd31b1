// The contract of Store, over every implementation. What only a store with files can show (what is
// there after reopening) is asked of those that keep rows. One thread.
// Always holds: a new implementation is one more line in implementations().
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/store/record.h"
#include "tests/support/store/store_model.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Store>(const TempFolder&)> open;
};

std::vector<Implementation> implementations() {
  const auto rocks = [](Durability durability) {
    return [durability](const TempFolder& folder) {
      StoreOptions options;
      options.path = folder.path();
      options.durability = durability;
      auto store = open_rocks_store(options);
      INFO(store.status().to_string());
      REQUIRE(store.ok());
      return *std::move(store);
    };
  };
  return {{"memory", [](const TempFolder&) { return make_memory_store(); }},
          {"rocks, sync", rocks(Durability::sync)},
          {"rocks, process", rocks(Durability::process)}};
}

// A loaded, empty store and its model.
struct Subject {
  explicit Subject(const Implementation& implementation) : made(implementation) {
    store = made.open(folder);
    auto state = load_state(*store);
    REQUIRE(state.ok());
    REQUIRE(state->collections.empty());
    REQUIRE(state->sequence == 0);
  }

  // Closes, opens again and compares, if there is anything kept.
  void check_reopened(std::uint32_t threads = 1) {
    if (!store->keeps_rows()) return;
    REQUIRE(store->close().ok());
    store.reset();
    store = made.open(folder);
    auto state = load_state(*store, threads);
    INFO(state.status().to_string());
    REQUIRE(state.ok());
    CHECK(difference(model.acked(), *state) == "");
  }

  const Implementation& made;
  TempFolder folder;
  std::unique_ptr<Store> store;
  StoreModel model;
};

TEST_CASE("store: rows, ids of both kinds, payloads and expiry come back", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.create(0, "first", 3);
    subject.model.create(1, "second", 1);
    subject.model.put(0, 0);
    subject.model.put(0, UINT64_MAX, "{\"a\":[1,2]}");
    subject.model.put(0, std::string(limits::id_bytes_max, '\0'), "", 1);
    subject.model.put(1, "a", std::string(limits::payload_bytes_max, 'x'), UINT64_MAX);
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    CHECK(subject.model.acked().collections.at(0).rows.size() == 3);
  }
}

TEST_CASE("store: replaced and erased rows do not come back", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.create(0, "c");
    for (int id = 0; id < 10; ++id) subject.model.put(0, id);
    REQUIRE(subject.model.apply(*subject.store).ok());
    for (int id = 0; id < 10; id += 2) subject.model.put(0, id, "{\"new\":true}");
    subject.model.erase(0, 1);
    subject.model.erase(0, 3);
    REQUIRE(subject.model.apply(*subject.store).ok());
    CHECK(subject.model.acked().collections.at(0).rows.size() == 8);
    subject.check_reopened();
    for (int id = 0; id < 10; ++id) subject.model.erase(0, id);
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    CHECK(subject.model.acked().collections.at(0).counters.live_hash == 0);
  }
}

TEST_CASE("store: verify hands out what was applied, or only counts it", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.create(0, "c");
    subject.model.put(0, 1);
    subject.model.put(0, 2);
    subject.model.request({1, 1});
    REQUIRE(subject.model.apply(*subject.store).ok());
    VerifyReport report;
    auto seen = verify_state(*subject.store, report);
    REQUIRE(seen.ok());
    CHECK(report.collections == 1);
    CHECK(report.rows == 2);
    if (!subject.store->keeps_rows()) {
      CHECK(seen->collections.empty());
      continue;
    }
    seen->sequence = subject.model.acked().sequence;
    CHECK(difference(subject.model.acked(), *seen) == "");
    CHECK(report.bytes > 2 * 4 * sizeof(float));
  }
}

TEST_CASE("store: a cache is what was finished last, or there is none", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.create(0, "first", 3);
    subject.model.put(0, 1);
    REQUIRE(subject.model.apply(*subject.store).ok());
    CHECK(subject.store->read_cache(0).status().code() == StatusCode::not_found);
    CHECK(subject.store->remove_cache(0).ok());
    auto writer = subject.store->write_cache(0);
    if (!subject.store->keeps_rows()) {
      CHECK(writer.status().code() == StatusCode::failed_precondition);
      continue;
    }
    REQUIRE(writer.ok());
    REQUIRE((*writer)->append("cached").ok());
    REQUIRE((*writer)->finish().ok());
    auto left = subject.store->write_cache(0);
    auto orphan = subject.store->write_cache(5);
    REQUIRE(orphan.ok());
    REQUIRE((*orphan)->append("of a collection that is not there").ok());
    REQUIRE((*orphan)->finish().ok());
    subject.check_reopened();
    CHECK(subject.store->read_cache(5).status().code() == StatusCode::not_found);
    auto reader = subject.store->read_cache(0);
    REQUIRE(reader.ok());
    const auto chunk = (*reader)->next();
    REQUIRE(chunk.ok());
    CHECK(*chunk == "cached");
    REQUIRE(subject.store->remove_cache(0).ok());
    CHECK(subject.store->read_cache(0).status().code() == StatusCode::not_found);
    CHECK((*left)->append("late").code() == StatusCode::unavailable);
  }
}

TEST_CASE("store: dropping a collection takes its rows and never its id again", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    CHECK(subject.store->next_collection_id() == 0);
    subject.model.create(0, "gone");
    subject.model.create(4, "kept");
    for (int id = 0; id < 100; ++id) subject.model.put(0, id);
    subject.model.put(4, 7);
    REQUIRE(subject.model.apply(*subject.store).ok());
    CHECK(subject.store->next_collection_id() == 5);
    subject.model.drop(0);
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    subject.model.drop(4);
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    CHECK(subject.store->next_collection_id() == 5);

    subject.model.create(4, "again");
    const Status used = subject.model.apply(*subject.store);
    CHECK(used.code() == StatusCode::invalid_argument);
    CHECK(used.field() == "collection");
    subject.model.create(5, "gone");
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
  }
}

TEST_CASE("store: a batch about an unknown collection changes nothing", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.create(0, "c");
    REQUIRE(subject.model.apply(*subject.store).ok());
    StoreBatch batch;
    batch.sequence = 10;
    batch.counters.push_back({3, {1, 1, 1}});
    CHECK(subject.store->apply(batch, Durability::sync).code() == StatusCode::invalid_argument);
    batch.clear();
    batch.sequence = 10;
    batch.drop_collections = {3};
    CHECK(subject.store->apply(batch, Durability::sync).code() == StatusCode::invalid_argument);
    subject.model.put(0, 1);
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
  }
}

TEST_CASE("store: a sequence that does not rise is refused", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    StoreBatch batch;
    CHECK(subject.store->apply(batch, Durability::sync).code() == StatusCode::internal);
    batch.sequence = 5;
    CHECK(subject.store->apply(batch, Durability::sync).ok());
    CHECK(subject.store->apply(batch, Durability::sync).code() == StatusCode::internal);
  }
}

TEST_CASE("store: requests come back oldest first, and the oldest are forgotten", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.request({1, 2});
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    for (std::uint64_t i = 0; i < limits::request_ids_max - 1; ++i) {
      subject.model.request({9, i});
    }
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    CHECK(subject.model.acked().requests.front().first == RequestId{1, 2});
    subject.model.request({10, 0});
    REQUIRE(subject.model.apply(*subject.store).ok());
    subject.check_reopened();
    CHECK(subject.model.acked().requests.front().first == RequestId{9, 0});
    CHECK(subject.model.acked().requests.size() == limits::request_ids_max);
  }
}

TEST_CASE("store: many rows come in parts that keep the order of slots", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    subject.model.create(0, "large", 1);
    subject.model.create(1, "small", 1);
    for (int id = 0; id < 40'000; ++id) subject.model.put(0, id);
    subject.model.put(1, 1);
    REQUIRE(subject.model.apply(*subject.store).ok());
    for (const std::uint32_t threads : {1U, 2U, 3U, 8U}) {
      CAPTURE(threads);
      subject.check_reopened(threads);
    }
  }
}

TEST_CASE("store: an error of the sink ends the load and is returned", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    Subject subject(implementation);
    if (!subject.store->keeps_rows()) continue;
    subject.model.create(0, "c");
    subject.model.put(0, 1);
    REQUIRE(subject.model.apply(*subject.store).ok());
    REQUIRE(subject.store->close().ok());
    subject.store = implementation.open(subject.folder);
    LoadSink sink;
    sink.row = [](std::uint32_t, std::uint32_t, std::uint64_t, const StoreRow&) {
      return Status(StatusCode::resource_exhausted, "no room");
    };
    CHECK(subject.store->load(sink, 2).status().code() == StatusCode::resource_exhausted);
    subject.store.reset();
    subject.store = implementation.open(subject.folder);
    subject.check_reopened();
  }
}

TEST_CASE("store: calls at the wrong time are refused", "[store]") {
  for (const auto& implementation : implementations()) {
    INFO(implementation.name);
    const TempFolder folder;
    auto store = implementation.open(folder);
    StoreBatch batch;
    batch.sequence = 1;
    CHECK(store->apply(batch, Durability::sync).code() == StatusCode::failed_precondition);
    REQUIRE(store->load({}, 1).ok());
    CHECK(store->load({}, 1).status().code() == StatusCode::failed_precondition);
    CHECK(store->sync().ok());
    CHECK(store->close().ok());
    CHECK(store->close().ok());
    CHECK(store->apply(batch, Durability::sync).code() == StatusCode::unavailable);
    CHECK(store->sync().code() == StatusCode::unavailable);
    CHECK(store->verify({}).status().code() == StatusCode::unavailable);
    CHECK_FALSE(store->checkpoint(folder.path("copy")).ok());
    CHECK(store->stats().disk_bytes == 0);
  }
}

}  // namespace
}  // namespace vecserve::engine
