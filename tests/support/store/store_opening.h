// Opening a store on disk in tests: to go on with it, or to see how it is refused. Used by the
// tests of the store folder. One thread. Always holds: a store that reopen() replaced is closed
// before the folder is opened again.
#pragma once

#include <memory>
#include <string>

#include "tests/support/store/store_model.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {

[[nodiscard]] inline StoreOptions store_at(const TempFolder& folder,
                                           const std::string& name = "db") {
  StoreOptions options;
  options.path = folder.path(name);
  return options;
}

// Opens and loads; the store is kept in `store` when both went well.
[[nodiscard]] inline Result<ModelState> reopen(std::unique_ptr<Store>& store,
                                               const StoreOptions& options,
                                               std::uint32_t threads = 1) {
  store.reset();
  auto opened = open_rocks_store(options);
  if (!opened.ok()) return opened.status();
  store = *std::move(opened);
  return load_state(*store, threads);
}

// How opening and loading ends.
[[nodiscard]] inline Status try_open(const StoreOptions& options) {
  std::unique_ptr<Store> store;
  return reopen(store, options).status();
}

}  // namespace vecserve::engine
