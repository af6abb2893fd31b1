// Brings a database back to memory: receives what the store reads and verifies, and builds row sets
// and indexes from it. Comes after open_store, before anything is served.
// Called from the threads of the store's load, which own disjoint parts; finish() on one thread.
// Always holds: until finish() has returned ok nothing is published; an id that is alive twice is
// data_loss.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/collection_core.h"
#include "engine/store/record.h"
#include "engine/store/store.h"

namespace vecserve::engine {

using Catalog = std::map<std::string, std::shared_ptr<CollectionCore>, std::less<>>;

class Loader {
 public:
  explicit Loader(std::shared_ptr<Runtime> runtime);
  ~Loader();

  // Refers to this object.
  [[nodiscard]] LoadSink sink();

  // Publishes everything as of `sequence` and returns the collections by name.
  [[nodiscard]] Result<Catalog> finish(std::uint64_t sequence);

 private:
  struct Loading;

  Status add_collection(const StoredCollection& stored, std::uint32_t parts);
  Status add_row(std::uint32_t collection, std::uint32_t part, std::uint64_t slot,
                 const StoreRow& row);

  static Status settle_ids(Loading& loading);

  std::shared_ptr<Runtime> runtime_;
  std::map<std::uint32_t, std::unique_ptr<Loading>> loading_;
};

}  // namespace vecserve::engine
