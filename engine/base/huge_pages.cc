// Regions of huge pages and the pieces cut from them. Stands below AlignedBuffer.
// Any thread, one lock. Always holds: a region begins at a multiple of its size with its header, so
// that a piece finds its region by its address; only the newest region is still cut from.
#include "engine/base/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <mutex>
#include <new>

#include "engine/base/check.h"

namespace vecserve::engine {
namespace {

// Large enough that what is left over at the end of one (half a piece on average, up to where the
// last huge page begins it is taken all the same) is nothing beside it: with regions of 64 MiB it
// was 3 % of a million rows of 128 dimensions. Address space only, until it is touched.
constexpr std::size_t kRegionBytes = std::size_t{256} << 20;
// A page of the largest kind in use, so that pieces start at pages; only its beginning is touched.
constexpr std::size_t kHeaderBytes = std::size_t{64} << 10;
static_assert(kHugePieceBytesMax * 8 <= kRegionBytes);

struct Region {
  std::size_t used = kHeaderBytes;
  std::size_t pieces = 0;  // handed out and not yet back
};

struct Regions {
  std::mutex mutex;
  Region* newest = nullptr;  // guarded by mutex, as are all headers
};

// Never destroyed: buffers of static duration may go after everything else.
Regions& regions() {
  static auto* const shared = new Regions;
  return *shared;
}

Region* region_of(std::byte* data) {
  const auto offset = reinterpret_cast<std::uintptr_t>(data) % kRegionBytes;
  return reinterpret_cast<Region*>(data - offset);
}

Region* map_region() {
  void* const whole = ::mmap(nullptr, 2 * kRegionBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (whole == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(whole);
  const auto address = reinterpret_cast<std::uintptr_t>(whole);
  const std::size_t before = (kRegionBytes - address % kRegionBytes) % kRegionBytes;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + kRegionBytes, kRegionBytes - before);
  // A refusal costs speed, nothing else.
  static_cast<void>(::madvise(begin + before, kRegionBytes, MADV_HUGEPAGE));
  return new (begin + before) Region;
}

}  // namespace

std::byte* take_huge_piece(std::size_t bytes) {
  VECSERVE_CHECK(bytes > 0 && bytes <= kHugePieceBytesMax);
  Regions& all = regions();
  const std::lock_guard lock(all.mutex);
  if (all.newest == nullptr || all.newest->used + bytes > kRegionBytes) all.newest = map_region();
  Region& region = *all.newest;
  std::byte* const piece = reinterpret_cast<std::byte*>(&region) + region.used;
  region.used += bytes;
  ++region.pieces;
  return piece;
}

void give_back_huge_piece(std::byte* data, std::size_t bytes) {
  Regions& all = regions();
  const std::lock_guard lock(all.mutex);
  Region* const region = region_of(data);
  if (--region->pieces > 0) {
    static_cast<void>(::madvise(data, bytes, MADV_DONTNEED));
    return;
  }
  if (region == all.newest) all.newest = nullptr;
  ::munmap(region, kRegionBytes);
}

}  // namespace vecserve::engine
