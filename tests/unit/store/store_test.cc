// The batch that every store takes, emptied for the next commit. The contract of the stores is in
// tests/conformance/store_test.cc. One thread.
// Always holds: a field that is added to the batch has to be added here.
#include "engine/store/store.h"

#include <catch2/catch.hpp>

namespace vecserve::engine {
namespace {

TEST_CASE("store: a cleared batch is like a new one", "[store]") {
  StoreBatch batch;
  batch.put_rows.push_back({1, 2, "r"});
  batch.erase_rows.push_back({1, 2});
  batch.counters.push_back({1, {}});
  batch.create_collections.emplace_back();
  batch.drop_collections.push_back(1);
  batch.requests.emplace_back();
  batch.sequence = 9;
  batch.clear();
  CHECK(batch.put_rows.empty());
  CHECK(batch.erase_rows.empty());
  CHECK(batch.counters.empty());
  CHECK(batch.create_collections.empty());
  CHECK(batch.drop_collections.empty());
  CHECK(batch.requests.empty());
  CHECK(batch.sequence == 0);
}

}  // namespace
}  // namespace vecserve::engine
