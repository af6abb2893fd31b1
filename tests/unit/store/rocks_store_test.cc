// The store on disk: what it does beyond the contract that the conformance suite checks.
#include "engine/store/rocks_store.h"

#include <catch2/catch.hpp>

#include "tests/support/store/store_model.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

StoreOptions at(const TempFolder& folder) {
  StoreOptions options;
  options.path = folder.path();
  return options;
}

// Opens, loads, and gives the state.
ModelState reopen(std::unique_ptr<Store>& store, const StoreOptions& options,
                  std::uint32_t threads = 1) {
  store.reset();
  auto opened = open_rocks_store(options);
  INFO(opened.status().to_string());
  REQUIRE(opened.ok());
  store = *std::move(opened);
  auto state = load_state(*store, threads);
  INFO(state.status().to_string());
  REQUIRE(state.ok());
  return *state;
}

TEST_CASE("rocks_store: what was applied is there after reopening", "[rocks_store]") {
  const TempFolder folder;
  std::unique_ptr<Store> store;
  StoreModel model(reopen(store, at(folder)));
  model.create(0, "a");
  model.put(0, 1, "{\"x\":1}");
  model.put(0, "name", "", 77);
  model.request({5, 6});
  REQUIRE(model.apply(*store).ok());
  model.put(0, 1);
  model.erase(0, "name");
  REQUIRE(model.apply(*store).ok());
  CHECK(difference(model.acked(), reopen(store, at(folder))) == "");
  CHECK(difference(model.acked(), reopen(store, at(folder), 4)) == "");
}

}  // namespace
}  // namespace vecserve::engine
