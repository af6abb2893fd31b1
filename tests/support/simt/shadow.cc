// See shadow.h. Marks of device memory lie behind the bytes in the same allocation. Any thread for
// DeviceMemory. Always holds: a range that crosses the end of an allocation, or lies in none, is
// reported and never touched.
#include "tests/support/simt/shadow.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <shared_mutex>

namespace vecserve::test::simt {

namespace {

constexpr std::size_t kAlignment = 256;
// Fresh memory reads as this for so many bytes: what is copied to the host unwritten shows. The
// rest of a large allocation costs nothing until it is used.
constexpr int kFresh = 0xcd;
constexpr std::size_t kFreshBytes = std::size_t{1} << 20;

// All allocations of all devices, by address.
struct Registry {
  std::shared_mutex mutex;
  std::map<std::uintptr_t, std::size_t> ranges;  // guarded by mutex
  std::atomic<std::uint64_t> version{1};
};

Registry& registry() {
  static Registry all;
  return all;
}

// The range that this thread found last, and as of which version it is true.
struct Found {
  std::uintptr_t begin = 0;
  std::size_t size = 0;
  std::uint64_t version = 0;
};
thread_local Found last_found;

thread_local ReadLog* read_log = nullptr;

bool find(std::uintptr_t address, std::size_t size) {
  Registry& all = registry();
  const auto inside = [&] {
    return address >= last_found.begin && size <= last_found.size &&
           address - last_found.begin <= last_found.size - size;
  };
  if (last_found.version == all.version.load(std::memory_order_acquire) && inside()) return true;
  const std::shared_lock lock(all.mutex);
  auto next = all.ranges.upper_bound(address);
  if (next == all.ranges.begin()) return false;
  --next;
  last_found = {next->first, next->second, all.version.load(std::memory_order_relaxed)};
  return inside();
}

std::uint8_t* marks_of(std::uintptr_t address) {
  return reinterpret_cast<std::uint8_t*>(address + last_found.size);
}

std::string where(std::size_t offset, std::size_t size) {
  return std::to_string(size) + " bytes at " + std::to_string(offset);
}

}  // namespace

// Bits of a mark: 0-9 the thread, 10-35 the warp's epoch, 36-61 the block's, 62 is always set.
SharedShadow::Mark SharedShadow::mark_of(const Moment& now) {
  return Mark{1} << 62 | Mark{now.block_epoch} << 36 | Mark{now.warp_epoch} << 10 | now.thread;
}

bool SharedShadow::same_thread(Mark mark, Mark now) {
  return ((mark ^ now) & 1'023) == 0;
}

bool SharedShadow::races(Mark mark, Mark now) {
  if (mark >> 36 != now >> 36 || same_thread(mark, now)) return false;  // never, before, or us
  const bool same_warp = ((mark ^ now) & (1'023 & ~31)) == 0;
  return !same_warp || mark >> 10 == now >> 10;
}

void SharedShadow::reset(std::size_t bytes) {
  words_.assign((bytes + kWordBytes - 1) / kWordBytes, Word());
}

std::string SharedShadow::touch(Access access, std::size_t offset, std::size_t size,
                                const Moment& now) {
  const std::size_t first = offset / kWordBytes;
  const std::size_t last = (offset + size + kWordBytes - 1) / kWordBytes;
  if (offset % kWordBytes != 0 || last > words_.size()) {
    return "shared memory: " + where(offset, size) + " of " + std::to_string(words_.size() * 4);
  }
  const Mark mine = mark_of(now);
  for (std::size_t i = first; i < last; ++i) {
    Word& word = words_[i];
    const bool against_readers =
        access != Access::read && (races(word.readers[0], mine) || races(word.readers[1], mine));
    const bool against_atomics = access != Access::atomic && races(word.atomic, mine);
    if (races(word.writer, mine) || against_readers || against_atomics) {
      return "shared memory: race on " + where(offset, size) + " by thread " +
             std::to_string(now.thread);
    }
    if (access != Access::write && !word.written) {
      return "shared memory: " + where(offset, size) + " read, but nobody wrote them";
    }
    if (access == Access::read) {
      if (!same_thread(word.readers[0], mine)) word.readers[1] = word.readers[0];
      word.readers[0] = mine;
    } else {
      (access == Access::write ? word.writer : word.atomic) = mine;
      word.written = true;
    }
  }
  return {};
}

ReadLog::ReadLog(const void* begin, std::size_t size)
    : begin_(reinterpret_cast<std::uintptr_t>(begin)), seen_(size) {
  read_log = this;
}

ReadLog::~ReadLog() {
  read_log = nullptr;
}

void ReadLog::note(std::uintptr_t at, std::size_t size) {
  const std::uintptr_t from = std::max(at, begin_);
  const std::uintptr_t to = std::min(at + size, begin_ + seen_.size());
  for (std::uintptr_t i = from; i < to; ++i) seen_[i - begin_] = 1;
}

std::size_t ReadLog::bytes(std::size_t from, std::size_t size) const {
  const auto begin = seen_.begin() + static_cast<std::ptrdiff_t>(from);
  return static_cast<std::size_t>(std::count(begin, begin + static_cast<std::ptrdiff_t>(size), 1));
}

DeviceMemory::~DeviceMemory() {
  while (!mine_.empty()) static_cast<void>(release(mine_.begin()->first));
}

void* DeviceMemory::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t size =
      (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  if (size > capacity_ - used_) return nullptr;
  std::unique_ptr<void, Freed> memory(std::calloc(2 * size + kAlignment, 1));
  if (memory == nullptr) return nullptr;
  auto* const begin = static_cast<std::byte*>(memory.get());
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  void* const address = begin + (kAlignment - at % kAlignment);
  std::memset(address, kFresh, std::min(size, kFreshBytes));
  mine_[address] = {size, std::move(memory)};
  used_ += size;
  const std::unique_lock all(registry().mutex);
  registry().ranges[reinterpret_cast<std::uintptr_t>(address)] = size;
  registry().version.fetch_add(1, std::memory_order_release);
  return address;
}

bool DeviceMemory::release(void* address) {
  const std::lock_guard lock(mutex_);
  const auto found = mine_.find(address);
  if (found == mine_.end()) return false;
  {
    const std::unique_lock all(registry().mutex);
    registry().ranges.erase(reinterpret_cast<std::uintptr_t>(address));
    registry().version.fetch_add(1, std::memory_order_release);
  }
  used_ -= found->second.size;
  mine_.erase(found);
  return true;
}

std::size_t DeviceMemory::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

std::string DeviceMemory::locate(const void* address, std::size_t size) {
  if (size == 0 || find(reinterpret_cast<std::uintptr_t>(address), size)) return {};
  return "device memory: " + std::to_string(size) + " bytes outside of what was allocated";
}

std::string DeviceMemory::touch(Access access, const void* address, std::size_t size) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  if (size == 0) return {};
  if (!find(begin, size)) return locate(address, size);
  std::uint8_t* const marks = marks_of(begin);
  if (access != Access::read) std::memset(marks, 1, size);
  if (std::memchr(marks, 0, size) != nullptr) {
    return "device memory: " + std::to_string(size) + " bytes read, but nobody wrote them";
  }
  if (access == Access::read && read_log != nullptr) read_log->note(begin, size);
  return {};
}

}  // namespace vecserve::test::simt
