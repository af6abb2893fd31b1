// Memory for vectors, from the system or, when small, from the heap. Stands below rows.
// The thread that owns the object; nothing is locked.
// Always holds: fresh memory is all zeros and, above kHeapBytesMax, backed by nothing until
// touched.
#include "engine/base/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "engine/base/huge_pages.h"

namespace vecserve::engine {
namespace {

constexpr std::size_t kAlignment = 64;
// A mapping costs a system call and whole pages; below this the heap is cheaper and as good.
constexpr std::size_t kHeapBytesMax = std::size_t{32} << 10;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::byte* map(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

// Starts at a multiple of a huge page: maps more, and gives back what stands over at both ends.
// Huge pages are asked for only as far as whole ones fit; the rest stays small.
std::byte* map_huge(std::size_t bytes) {
  std::byte* const whole = map(bytes + kHugePageBytes);
  const auto address = reinterpret_cast<std::uintptr_t>(whole);
  const std::size_t before = round_up(address, kHugePageBytes) - address;
  if (before > 0) ::munmap(whole, before);
  if (before < kHugePageBytes) ::munmap(whole + before + bytes, kHugePageBytes - before);
  std::byte* const data = whole + before;
  // A refusal costs speed, nothing else.
  static_cast<void>(::madvise(data, bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE));
  return data;
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes, Use use) {
  if (bytes == 0) return;
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  const std::size_t wanted = bytes + kSlackBytes;
  if (wanted <= kHeapBytesMax) {
    const std::size_t taken = round_up(wanted, kAlignment);
    void* memory = std::aligned_alloc(kAlignment, taken);
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, taken);
    data_ = static_cast<std::byte*>(memory);
  } else {
    const std::size_t taken = round_up(wanted, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    const bool piece = use == Use::full && taken <= kHugePieceBytesMax;
    if (piece) {
      data_ = take_huge_piece(taken);
    } else {
      data_ = use == Use::full ? map_huge(taken) : map(taken);
    }
    taken_ = taken;
    origin_ = piece ? Origin::huge_piece : Origin::mapping;
  }
  size_ = bytes;
}

void AlignedBuffer::release() {
  switch (origin_) {
    case Origin::heap:
      std::free(data_);
      break;
    case Origin::mapping:
      ::munmap(data_, taken_);
      break;
    case Origin::huge_piece:
      give_back_huge_piece(data_, taken_);
      break;
  }
}

AlignedBuffer::~AlignedBuffer() {
  release();
}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    taken_ = std::exchange(other.taken_, 0);
    origin_ = std::exchange(other.origin_, Origin::heap);
  }
  return *this;
}

}  // namespace vecserve::engine
