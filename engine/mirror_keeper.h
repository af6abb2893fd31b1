// Keeps a GPU's mirror up with the collections: one pass brings over every published row that is
// not there yet, with its sketch where it has one and with the live bits of blocks that have dead
// rows, then as many vectors as there is room for, and forgets blocks that are gone; and has rows
// that the engine moves to another block moved on the device, too. Runs on a background thread of
// its own, so that inserts do not wait for it nor searches for inserts. Always holds: only
// published rows go over, since those alone never change; a block that does not fit or fails stays
// with the CPU.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/collection_core.h"
#include "engine/gpu/mirror.h"

namespace vecserve::engine {

void keep_mirror(gpu::Mirror& mirror, const std::vector<std::shared_ptr<CollectionCore>>& cores);

// The page of a block that is to take the place of others: made on the device before anybody sees
// the block, so that no search finds it unmirrored; gone with this unless it was published.
class MirrorAhead {
 public:
  // mirror: null where there is no GPU. origins: see Mirror::rewrite. On the rewriting thread.
  MirrorAhead(gpu::Mirror* mirror, const RowBlock& fresh,
              std::span<const gpu::Mirror::Origin> origins);
  ~MirrorAhead();
  MirrorAhead(const MirrorAhead&) = delete;
  MirrorAhead& operator=(const MirrorAhead&) = delete;
  void published() { published_ = true; }

 private:
  gpu::Mirror* const mirror_;
  const std::uint64_t serial_;
  bool published_ = false;
};

}  // namespace vecserve::engine
