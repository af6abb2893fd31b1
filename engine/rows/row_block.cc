// The memory of a run of rows. Filled by the committing thread through a RowSetEditor, read by
// searches for the positions that their RowSet publishes.
// Always holds: append writes only at size() and beyond, and size() moves last, so that whatever
// throws before leaves nothing behind.
#include "engine/rows/row_block.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/rows/row_norm.h"

namespace vecserve::engine {
namespace {

constexpr std::size_t kPageBytes = 4096;

}  // namespace

IdView::IdView(const RowId& id) {
  if (id.is_number()) {
    number = id.number();
  } else {
    bytes = id.bytes();
  }
}

RowId IdView::to_id() const {
  return is_number() ? RowId(number) : RowId(bytes);
}

bool operator==(const IdView& a, const IdView& b) {
  if (a.is_number() != b.is_number()) return false;
  return a.is_number() ? a.number == b.number : a.bytes == b.bytes;
}

bool operator<(const IdView& a, const IdView& b) {
  if (a.is_number() != b.is_number()) return a.is_number();
  return a.is_number() ? a.number < b.number : a.bytes < b.bytes;
}

std::string_view ByteArena::add(std::string_view bytes) {
  if (chunks_.empty() || bytes.size() > left_) {
    const std::size_t chunk = std::max(bytes.size(), kChunkBytes);
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk));
    chunk_bytes_ = chunk;
    left_ = chunk;
    allocated_.fetch_add(chunk, std::memory_order_relaxed);
  }
  char* to = chunks_.back().get() + (chunk_bytes_ - left_);
  std::memcpy(to, bytes.data(), bytes.size());
  left_ -= bytes.size();
  return {to, bytes.size()};
}

std::uint64_t RowBlock::next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

RowBlock::RowBlock(const RowShape& shape, AlignedBuffer::Use use, Planes planes)
    : shape_(shape),
      vectors_(std::size_t{shape.capacity} * shape.stride, use),
      ids_(std::make_unique_for_overwrite<std::uint64_t[]>(shape.capacity)) {
  if (shape.metric == Metric::dot || shape.metric == Metric::cosine) {
    norms_ = std::make_unique_for_overwrite<float[]>(shape.capacity);
  }
  if (shape.coarse && planes == Planes::with_rows) {
    coarse_owner_ = std::make_unique<CoarsePlane>(shape, use);
    coarse_.store(coarse_owner_.get(), std::memory_order_release);
  }
}

bool RowBlock::accepts(std::uint64_t slot) const {
  const std::uint32_t rows = size();
  if (rows == shape_.capacity) return false;
  return rows == 0 || (slot > first_slot_ && slot - first_slot_ <= UINT32_MAX);
}

std::uint32_t RowBlock::append(std::uint64_t slot, const IdView& id, const std::byte* vector,
                               std::uint64_t expires_at_ms) {
  VECSERVE_DCHECK(accepts(slot));
  const std::uint32_t position = size();
  const auto offset = static_cast<std::uint32_t>(position == 0 ? 0 : slot - first_slot_);
  if (offset != position && slot_offsets_owner_ == nullptr) {
    slot_offsets_owner_ = std::make_unique_for_overwrite<std::uint32_t[]>(shape_.capacity);
    std::iota(slot_offsets_owner_.get(), slot_offsets_owner_.get() + position, 0);
  }
  if (!id.is_number() && id_is_bytes_owner_ == nullptr) {
    id_is_bytes_owner_ = std::make_unique<std::uint8_t[]>(shape_.capacity);
  }
  std::uint64_t id_word = id.number;
  if (!id.is_number()) {
    VECSERVE_CHECK(id.bytes.size() <= limits::id_bytes_max);
    char sized[1 + limits::id_bytes_max];
    sized[0] = static_cast<char>(id.bytes.size());
    std::memcpy(sized + 1, id.bytes.data(), id.bytes.size());
    id_word = reinterpret_cast<std::uintptr_t>(id_bytes_.add({sized, id.bytes.size() + 1}).data());
  }
  if (expires_at_ms != 0 && expiries_owner_ == nullptr) {
    expiries_owner_ = std::make_unique<std::uint64_t[]>(shape_.capacity);
  }
  // Nothing throws from here on.
  if (position == 0) first_slot_ = slot;
  if (slot_offsets_owner_ != nullptr) {
    slot_offsets_owner_[position] = offset;
    slot_offsets_.store(slot_offsets_owner_.get(), std::memory_order_release);
  }
  ids_[position] = id_word;
  if (id_is_bytes_owner_ != nullptr) {
    id_is_bytes_owner_[position] = id.is_number() ? 0 : 1;
    id_is_bytes_.store(id_is_bytes_owner_.get(), std::memory_order_release);
  }
  std::memcpy(vectors_.data() + std::size_t{position} * shape_.stride, vector, shape_.row_bytes);
  if (norms_ != nullptr) norms_[position] = row_norm_up(shape_, vector);
  if (coarse_owner_ != nullptr) coarse_owner_->set(position, vector);
  if (expiries_owner_ != nullptr) {
    expiries_owner_[position] = expires_at_ms;
    expiries_.store(expiries_owner_.get(), std::memory_order_release);
  }
  if (expires_at_ms != 0 && expires_at_ms < first_expiry_ms()) {
    first_expiry_ms_.store(expires_at_ms, std::memory_order_release);
  }
  size_.store(position + 1, std::memory_order_relaxed);
  return position;
}

void RowBlock::fill_planes() {
  if (!shape_.coarse || coarse() != nullptr) return;
  auto plane = std::make_unique<CoarsePlane>(shape_, AlignedBuffer::Use::full);
  const std::uint32_t rows = size();
  for (std::uint32_t position = 0; position < rows; ++position) {
    plane->set(position, vector(position));
  }
  coarse_owner_ = std::move(plane);
  coarse_.store(coarse_owner_.get(), std::memory_order_release);
}

void RowBlock::truncate(std::uint32_t count) {
  if (count < size()) size_.store(count, std::memory_order_relaxed);
}

IdView RowBlock::id(std::uint32_t position) const {
  const std::uint8_t* const is_bytes = id_is_bytes_.load(std::memory_order_acquire);
  if (is_bytes == nullptr || is_bytes[position] == 0) return IdView(ids_[position]);
  const auto* sized = reinterpret_cast<const char*>(static_cast<std::uintptr_t>(ids_[position]));
  return IdView(std::string_view(sized + 1, static_cast<unsigned char>(sized[0])));
}

std::uint64_t RowBlock::expires_at_ms(std::uint32_t position) const {
  const std::uint64_t* expiries = expiries_.load(std::memory_order_acquire);
  return expiries == nullptr ? 0 : expiries[position];
}

std::size_t RowBlock::vector_bytes() const {
  const std::size_t used = std::size_t{size()} * shape_.stride;
  return (used + kPageBytes - 1) / kPageBytes * kPageBytes;
}

std::size_t RowBlock::index_bytes() const {
  std::size_t per_row = sizeof(std::uint64_t);
  if (slot_offsets_.load(std::memory_order_acquire) != nullptr) per_row += sizeof(std::uint32_t);
  if (id_is_bytes_.load(std::memory_order_acquire) != nullptr) per_row += sizeof(std::uint8_t);
  if (norms_ != nullptr) per_row += sizeof(float);
  if (expiries_.load(std::memory_order_acquire) != nullptr) per_row += sizeof(std::uint64_t);
  return per_row * shape_.capacity + id_bytes_.allocated_bytes();
}

}  // namespace vecserve::engine
