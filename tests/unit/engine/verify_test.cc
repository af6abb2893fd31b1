// Checks engine/verify: every kind of difference between what is stored and what is served is
// found and named. Single-threaded; the differences are made in the fake store's contents.
// Always holds: each difference is taken back before the next one.
#include "engine/verify.h"

#include <catch2/catch.hpp>
#include <string>

#include "engine/store/open_store.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

class Stored {
 public:
  Stored() : core(engine.create("rows")) { fill(core, 1, 10); }

  std::string difference() {
    const auto report = verify_store(*engine.store, {core});
    if (report.ok()) return "";
    CHECK(report.status().code() == StatusCode::data_loss);
    return report.status().message();
  }

  Engine engine;
  CorePtr core;
};

TEST_CASE("verify: what was written is what is stored", "[engine]") {
  Stored stored;
  const auto report = verify_store(*stored.engine.store, {stored.core});
  REQUIRE(report.ok());
  CHECK(report->rows == 10);
  CHECK(report->collections == 1);
}

TEST_CASE("verify: a row that is only stored, only served, or different is named", "[engine]") {
  Stored stored;
  auto& rows = stored.engine.contents->rows[stored.core->id];
  const auto whole = rows;
  rows.erase(3);
  CHECK(stored.difference() == "collection \"rows\": 10 rows are served, 9 are stored");
  rows = whole;
  rows[90] = rows[3];
  CHECK(stored.difference() == "collection \"rows\": slot 90 is stored but not served");
  rows = whole;
  rows[3] = rows[4];
  CHECK(stored.difference() ==
        "collection \"rows\": slot 3 is stored and served with different content");
  rows = whole;
  CHECK(stored.difference().empty());
}

TEST_CASE("verify: counters, options and collections that differ are found", "[engine]") {
  Stored stored;
  auto& collection = stored.engine.contents->collections[stored.core->id];
  collection.counters.live_hash ^= 1;
  CHECK(stored.difference() == "collection \"rows\": its stored description differs");
  collection.counters.live_hash ^= 1;
  collection.options.metric = Metric::l1;
  CHECK(stored.difference() == "collection \"rows\": its stored description differs");
  collection.options.metric = Metric::l2;
  StoredCollection extra = collection;
  extra.id = 9;
  extra.name = "extra";
  stored.engine.contents->collections[9] = extra;
  CHECK(stored.difference() == "collection \"extra\" is stored but not served");
}

TEST_CASE("verify: a row that its id does not lead to is found", "[engine]") {
  Stored stored;
  const IdView id(std::uint64_t{4});
  stored.core->index.erase(hash_id(id), 3);
  CHECK(stored.difference() == "collection \"rows\": slot 3 is stored but not found by its id");
}

TEST_CASE("verify: a store without rows has nothing to compare", "[engine]") {
  Stored stored;
  const auto memory = make_memory_store();
  REQUIRE(memory->load({}, 1).ok());
  CHECK(verify_store(*memory, {stored.core}).ok());
}

}  // namespace
