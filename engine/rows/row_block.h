// A fixed-capacity run of rows: their vectors (the full plane), ids, slots, norms and expiry times.
// Filled by the one committing thread; read by any number of searches through a RowSet, which says
// how many rows of the block are published. Nothing of a published row ever changes; whether it is
// alive stands in the RowSet, not here. Positions within a block rise with the slots, but slots may
// have gaps (a rewritten block leaves dead rows out).
// Always holds: rows [0, count) of a published view are complete; count <= capacity; addresses
// never move while the block lives; the planes of later accelerators (coarse, sketch) are further
// buffers beside `vectors`, indexed by the same positions.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/rows/coarse_plane.h"
#include "engine/rows/row_shape.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::engine {

// An id that somebody else owns. `bytes.data() == nullptr` means the number.
struct IdView {
  std::uint64_t number = 0;
  std::string_view bytes{};

  IdView() = default;
  explicit IdView(std::uint64_t n) : number(n) {}
  explicit IdView(std::string_view b) : bytes(b) {}
  IdView(const RowId& id);  // NOLINT: a view of an id is implied
  [[nodiscard]] bool is_number() const { return bytes.data() == nullptr; }
  [[nodiscard]] RowId to_id() const;
};

[[nodiscard]] bool operator==(const IdView& a, const IdView& b);
// The total order of RowId: numbers first, by value; then strings, byte by byte.
[[nodiscard]] bool operator<(const IdView& a, const IdView& b);

// Append-only bytes whose addresses never move. One writer; readers hold pointers only.
class ByteArena {
 public:
  // Copies `bytes` in; the view stays valid as long as the arena. May throw std::bad_alloc.
  [[nodiscard]] std::string_view add(std::string_view bytes);
  // Any thread.
  [[nodiscard]] std::size_t allocated_bytes() const {
    return allocated_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kChunkBytes = std::size_t{16} << 10;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t chunk_bytes_ = 0;  // of the last chunk
  std::size_t left_ = 0;         // bytes free at its end
  std::atomic<std::size_t> allocated_{0};
};

class RowBlock {
 public:
  // May throw std::bad_alloc; callers at the commit border turn that into resource_exhausted.
  // `use`: whether the block will be filled soon. `planes`: whether the coarse plane is filled with
  // each row, or later by fill_planes().
  enum class Planes { with_rows, later };
  explicit RowBlock(const RowShape& shape, AlignedBuffer::Use use = AlignedBuffer::Use::sparse,
                    Planes planes = Planes::with_rows);

  // -- The committing thread only ---------------------------------------------------------------

  // Room for one more row, and its slot can still be expressed against this block's first slot.
  [[nodiscard]] bool accepts(std::uint64_t slot) const;
  // Appends a row and returns its position. `vector` has shape().row_bytes bytes in the stored
  // type; `expires_at_ms` is in unix time, 0 for never. Requires accepts(slot) and slot above the
  // last. May throw std::bad_alloc and then has changed nothing.
  std::uint32_t append(std::uint64_t slot, const IdView& id, const std::byte* vector,
                       std::uint64_t expires_at_ms);
  // Takes the rows from position `count` on back out: they were never published.
  void truncate(std::uint32_t count);
  [[nodiscard]] std::uint32_t size() const { return size_.load(std::memory_order_relaxed); }

  // Makes and fills the planes that the constructor left for later; nothing when they are there.
  // Any one thread, once no row will be appended without them: on a full block, or before it is
  // published. May throw std::bad_alloc and then has changed nothing.
  void fill_planes();

  // Anything that must live exactly as long as this block and is indexed by the same positions: the
  // payload texts and columns. Set once, before the first append is published.
  void set_companion(std::shared_ptr<void> companion) { companion_ = std::move(companion); }

  // -- Any thread, for positions of a published view --------------------------------------------

  // Another number for every block that this process ever made; addresses come again.
  [[nodiscard]] std::uint64_t serial() const { return serial_; }
  [[nodiscard]] const RowShape& shape() const { return shape_; }
  [[nodiscard]] const std::byte* vectors() const { return vectors_.data(); }  // 64-byte aligned
  [[nodiscard]] const std::byte* vector(std::uint32_t position) const {
    return vectors_.data() + std::size_t{position} * shape_.stride;
  }
  // The Euclidean norm of each vector, rounded up to a float. Null but for dot and cosine, whose
  // bounds are the only ones that need it.
  [[nodiscard]] const float* norms() const { return norms_.get(); }
  // The coarse plane, complete for all published rows; null where the shape has none or while it is
  // still to be filled. Once it is there it stays.
  [[nodiscard]] const CoarsePlane* coarse() const {
    return coarse_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t slot(std::uint32_t position) const {
    const std::uint32_t* const offsets = slot_offsets_.load(std::memory_order_acquire);
    return first_slot_ + (offsets == nullptr ? position : offsets[position]);
  }
  [[nodiscard]] IdView id(std::uint32_t position) const;
  [[nodiscard]] std::uint64_t expires_at_ms(std::uint32_t position) const;  // 0: never
  // A time before which no row of the block expires; UINT64_MAX when none ever does.
  [[nodiscard]] std::uint64_t first_expiry_ms() const {
    return first_expiry_ms_.load(std::memory_order_acquire);
  }
  [[nodiscard]] void* companion() const { return companion_.get(); }

  // Memory that the rows take, for stats (capacity, not only the rows in use, for the small arrays;
  // for the vectors, the pages in use). Any thread at any time.
  [[nodiscard]] std::size_t vector_bytes() const;
  [[nodiscard]] std::size_t index_bytes() const;

 private:
  [[nodiscard]] static std::uint64_t next_serial();

  const std::uint64_t serial_ = next_serial();
  RowShape shape_;
  AlignedBuffer vectors_;
  std::unique_ptr<float[]> norms_;
  std::atomic<CoarsePlane*> coarse_{nullptr};  // published by fill_planes() or the constructor
  std::unique_ptr<CoarsePlane> coarse_owner_;
  std::unique_ptr<std::uint64_t[]> ids_;  // the number, or the address of length and bytes
  // Most blocks do without these, so each is made when the first row comes that needs it: one that
  // leaves slots out, one whose id is bytes (a byte each: a shared word would be a race), one that
  // expires. Until then slots are positions behind the first, ids are numbers, and nothing expires.
  std::atomic<std::uint32_t*> slot_offsets_{nullptr};
  std::unique_ptr<std::uint32_t[]> slot_offsets_owner_;
  std::atomic<std::uint8_t*> id_is_bytes_{nullptr};
  std::unique_ptr<std::uint8_t[]> id_is_bytes_owner_;
  std::atomic<std::uint64_t*> expiries_{nullptr};
  std::unique_ptr<std::uint64_t[]> expiries_owner_;
  ByteArena id_bytes_;
  std::uint64_t first_slot_ = 0;
  std::atomic<std::uint64_t> first_expiry_ms_{UINT64_MAX};
  std::atomic<std::uint32_t> size_{0};  // read for stats while the committing thread appends
  std::shared_ptr<void> companion_;
};

}  // namespace vecserve::engine
