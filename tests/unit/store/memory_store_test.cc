// The store without files: what it does differently; the rest is in the conformance suite.
// One thread.
// Always holds: it keeps counts and nothing that grows with the rows.
#include <catch2/catch.hpp>

#include "engine/store/open_store.h"
#include "tests/support/store/store_model.h"

namespace vecserve::engine {
namespace {

TEST_CASE("memory_store: keeps counts, not rows, and has nothing to copy", "[memory_store]") {
  auto store = make_memory_store();
  CHECK_FALSE(store->keeps_rows());
  REQUIRE(store->load({}, 1).ok());
  StoreModel model;
  model.create(0, "a");
  model.create(1, "b");
  for (int id = 0; id < 5; ++id) model.put(0, id);
  REQUIRE(model.apply(*store).ok());
  model.erase(0, 2);
  model.drop(1);
  REQUIRE(model.apply(*store).ok());
  auto report = store->verify({});
  REQUIRE(report.ok());
  CHECK(report->collections == 1);
  CHECK(report->rows == 4);
  CHECK(report->bytes == 0);
  CHECK(store->checkpoint("anywhere").status().code() == StatusCode::failed_precondition);
  CHECK(store->stats().disk_bytes == 0);
}

}  // namespace
}  // namespace vecserve::engine
