// The part of the seam that has code: emptying a batch for the next commit. Stands beside store.h.
// The applying thread.
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

}  // namespace vecserve::engine
