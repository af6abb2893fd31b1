// The part of the seam that has code: emptying a batch for the next commit, and what a store
// without caches answers. Stands beside store.h. The applying thread; any for caches.
// Always holds: a cleared batch keeps its memory, so that steady writing allocates nothing here.
#include "engine/store/store.h"

namespace vecserve::engine {

void StoreBatch::clear() {
  put_rows.clear();
  erase_rows.clear();
  counters.clear();
  create_collections.clear();
  drop_collections.clear();
  requests.clear();
  sequence = 0;
}

Result<std::unique_ptr<CacheWriter>> Store::write_cache(std::uint32_t /*collection*/) {
  return {StatusCode::failed_precondition, "this store keeps no caches"};
}

Result<std::unique_ptr<CacheReader>> Store::read_cache(std::uint32_t /*collection*/) {
  return {StatusCode::not_found, "this store keeps no caches"};
}

Status Store::remove_cache(std::uint32_t /*collection*/) {
  return {};
}

}  // namespace vecserve::engine
