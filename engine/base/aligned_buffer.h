// Memory for vectors: large, 64-byte aligned, zeroed, and touched by nobody before its first use,
// so that a block that is half full costs half. Sized once. Stands below rows. Owned by one object;
// no locking. Always holds: data() is null only when size() is 0; at least kSlackBytes readable
// zero bytes follow the last one, so that kernels may read whole registers.
#pragma once

#include <cstddef>
#include <utility>

namespace vecserve::engine {

class AlignedBuffer {
 public:
  static constexpr std::size_t kSlackBytes = 128;

  AlignedBuffer() = default;
  // How the memory will be used. `sparse`: perhaps only its beginning; small pages, so that what is
  // not used costs nothing. `full`: all of it soon; huge pages where the system gives them, which
  // makes filling it several times cheaper and scanning it faster by up to two thirds.
  enum class Use { sparse, full };
  // Takes fresh zero pages from the system, small buffers from the heap. Throws std::bad_alloc.
  explicit AlignedBuffer(std::size_t bytes, Use use = Use::sparse);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        taken_(std::exchange(other.taken_, 0)),
        origin_(std::exchange(other.origin_, Origin::heap)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  [[nodiscard]] std::byte* data() { return data_; }
  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  enum class Origin { heap, mapping, huge_piece };

  void release();

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t taken_ = 0;  // bytes to give back, where the origin asks for them
  Origin origin_ = Origin::heap;
};

}  // namespace vecserve::engine
