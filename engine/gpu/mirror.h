// The rows that a GPU has: for each mirrored block a page with the coarse plane of its first rows,
// its sketch, its live bits, so that a deleted row is a bit and nothing else, and its vectors while
// nothing else needs their room. Filled by the keeper of the database through a pinned ring on a
// stream of low priority; read by searches, which pin pages. Comes between Device and the scanner.
// Any thread; covering is done by one thread at a time, others wait. Always holds: rows [0,
// covered) of a page are on the device, complete, before `covered` says so; a page that a search
// has pinned stays, forgotten or not; memory comes from one allocation made at the start. A block
// is known by its serial, never by its address.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/gpu/device.h"
#include "engine/gpu/mirror_page.h"
#include "engine/rows/row_block.h"

namespace vecserve::engine::gpu {

struct MirrorReport {
  std::uint64_t budget_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t rows = 0;
  std::uint64_t sketched = 0;  // blocks with their sketch
  std::uint64_t masked = 0;    // blocks with live bits
  std::uint64_t full = 0;      // blocks with vectors
  std::uint64_t full_rows = 0;
  std::uint64_t evicted = 0;  // vectors of a block that made room, ever
  std::uint64_t refused = 0;  // pages that did not fit
  std::uint64_t moved = 0;    // rows that came from other pages, ever
};

// "900 rows in 3 blocks, 800 with their vectors, 2 of 16 MiB"; MiB are rounded up.
[[nodiscard]] std::string to_string(const MirrorReport& report);

class Mirror {
 public:
  // Takes the whole budget from the device at once, and the ring.
  [[nodiscard]] static Result<std::unique_ptr<Mirror>> make(std::shared_ptr<Device> device,
                                                            std::size_t budget_bytes,
                                                            std::size_t ring_bytes);
  ~Mirror();

  // Brings rows [0, count) of the block over; those that are there already cost nothing. Blocks
  // until they are. resource_exhausted when the page does not fit into the budget. Whatever fails,
  // rows that were covered stay so. Requires covers(block) and published rows.
  [[nodiscard]] Status cover(const RowBlock& block, std::uint32_t count);
  // Whether the block has now what is mirrored: its coarse plane, or rows of bits.
  [[nodiscard]] static bool covers(const RowBlock& block);
  // Whether blocks of that shape ever will; bytes from row to row on the device, and of all that is
  // read there of a row.
  [[nodiscard]] static bool serves(const RowShape& shape);
  [[nodiscard]] static std::uint32_t stride(const RowShape& shape);
  [[nodiscard]] static std::size_t row_bytes(const RowShape& shape);
  // Brings the block's sketch over in place of the one that is there; null: there is none any more.
  // Nothing where the block has no page. Blocks and fails as cover().
  [[nodiscard]] Status cover_sketch(std::uint64_t serial,
                                    const std::shared_ptr<const SketchPlane>& plane);
  // Brings the vectors of rows [0, count) over, no more rows than `most` at this time, and says how
  // many those were; resource_exhausted when no room is left for them. Nothing where the block has
  // no page, or its shape no use for them. Pages, sketches and live bits take the room back when
  // they need it: then the vectors of another block are gone. Blocks and fails as cover().
  [[nodiscard]] Result<std::uint32_t> cover_full(const RowBlock& block, std::uint32_t count,
                                                 std::uint32_t most);
  // Whether kernels read vectors of that shape; bytes of all that they read of one.
  [[nodiscard]] static bool serves_full(const RowShape& shape);
  [[nodiscard]] static std::size_t full_row_bytes(const RowShape& shape);
  // Brings live bits over, of many blocks at a time: searches whose eligible rows are just those
  // send no mask for the block. Blocks without a page are left out, and what does not fit.
  struct Live {
    std::uint64_t serial = 0;
    LiveWords words;               // null: all rows are alive
    std::uint32_t word_count = 0;  // of them
  };
  [[nodiscard]] Status cover_live(std::span<const Live> blocks);
  // Makes the page of a block that is to take the place of sparse ones, of exactly its rows, out of
  // their pages, on the device: origins[i] is where row i is now. Nothing where one of them is not
  // mirrored, or the page does not fit; the old pages stay as they are. Before the block is
  // published: it is kept until end_rewrite(). Blocks and fails as cover().
  struct Origin {
    std::uint64_t serial = 0;
    std::uint32_t position = 0;
  };
  [[nodiscard]] Status rewrite(const RowBlock& fresh, std::span<const Origin> origins);
  // Whether or not rewrite() made a page. Published: the next keep_only() may be of somebody who
  // looked before that and spares it once more. Otherwise it goes.
  void end_rewrite(std::uint64_t serial, bool published);
  void forget(std::uint64_t serial);
  // Forgets every block whose serial is not among them (sorted), but for what rewrite() made ahead.
  void keep_only(std::span<const std::uint64_t> serials);
  // Null when the block has no page.
  [[nodiscard]] std::shared_ptr<const MirrorPage> find(std::uint64_t serial) const;
  // All parts of many blocks at one lock.
  void find_all(std::span<const std::uint64_t> serials, std::vector<MirrorView>& views) const;
  [[nodiscard]] MirrorReport report() const;

 private:
  static constexpr std::size_t kSlots = 4;
  struct Slot {
    std::byte* host = nullptr;
    Driver::Event copied = nullptr;
  };

  Mirror(std::shared_ptr<Device> device, std::size_t slot_bytes);
  [[nodiscard]] Status allocate(std::size_t budget_bytes, std::size_t ring_bytes);
  // Out of the budget, and if it must be out of what vectors have; null when that is too little.
  [[nodiscard]] std::unique_ptr<MirrorStretch> take(std::size_t bytes, bool small);
  // Gives up the vectors of one block, of one that no search reads if there is any.
  struct Evicted {
    std::size_t bytes = 0;  // 0: there were none
    bool pinned = false;    // they come back with the last search that reads them
  };
  [[nodiscard]] Evicted evict_full();
  // The block's, or, when nothing of it is there, one with room for all its rows.
  [[nodiscard]] std::shared_ptr<MirrorFull> full_for(const RowBlock& block);
  [[nodiscard]] Status send_vectors(const RowBlock& block, std::uint32_t first, std::uint32_t count,
                                    const MirrorFull& full);
  // With room for `room` rows; not yet the block's.
  [[nodiscard]] Result<std::shared_ptr<MirrorPage>> make_page(const RowShape& shape,
                                                              std::uint32_t room);
  // The block's, or one that is to take its place, with room for so many rows at the least.
  [[nodiscard]] Result<std::shared_ptr<MirrorPage>> page_for(const RowBlock& block,
                                                             std::uint32_t count);
  // Makes a complete page the block's; its sketch and live bits stay, which are of its rows.
  void put_in(std::uint64_t serial, std::shared_ptr<const MirrorPage> page);
  // Where those rows are, and the pages that keep them there.
  [[nodiscard]] bool find_rows(std::span<const Origin> origins, const RowShape& shape,
                               std::vector<MovedRow>& rows,
                               std::vector<std::shared_ptr<const MirrorPage>>& pinned) const;
  [[nodiscard]] Status move_rows(const std::vector<MovedRow>& from, const RowShape& shape,
                                 const MirrorPage& page, const MirrorStretch& list);
  // But for the vectors, so that those can be given up for what the caller wants.
  [[nodiscard]] MirrorView view_of(std::uint64_t serial) const;
  // Copies `bytes` to the device, in as many slots as that takes: put(from, count, out) writes
  // them.
  template <typename Put>
  [[nodiscard]] Status send(std::byte* to, std::size_t bytes, const Put& put);
  // The same of bytes as they are.
  [[nodiscard]] Status send_bytes(std::byte* to, const void* bytes, std::size_t size);
  [[nodiscard]] Status send_sketch(const MirrorSketch& sketch);
  // After what was sent, whether or not it could be: the ring must be quiet before anybody writes
  // to it again, and on the device before anybody is told of it.
  [[nodiscard]] Status settle(const Status& sent);
  [[nodiscard]] Status copy_rows(const RowBlock& block, std::uint32_t first, std::uint32_t count,
                                 const MirrorPage& page);

  const std::shared_ptr<Device> device_;
  const std::size_t slot_bytes_;
  std::shared_ptr<MirrorMemory> memory_;
  std::byte* ring_ = nullptr;
  Driver::Stream stream_ = nullptr;
  Slot slots_[kSlots];
  std::size_t next_slot_ = 0;  // guarded by cover_mutex_
  std::mutex cover_mutex_;     // one at a time; before mutex_
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, MirrorView> blocks_;  // all with pages; guarded by mutex_
  struct Ahead {
    std::uint64_t serial = 0;
    bool published = false;
  };
  std::vector<Ahead> ahead_;   // what rewrite() made; guarded by mutex_
  std::uint64_t refused_ = 0;  // guarded by mutex_
  std::uint64_t moved_ = 0;    // guarded by mutex_
  std::uint64_t evicted_ = 0;  // guarded by mutex_
};

}  // namespace vecserve::engine::gpu
