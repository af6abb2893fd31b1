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
// Agents above the threads: copies that a gate tells of.
constexpr std::uint32_t kCopies = 1'024;
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

void join(Clock& into, const Clock& from) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], from[i]);
}

// Bits of a mark: 0-10 the agent, a thread or kCopies and a gate; 11-42 its time; 62 is always set.
SharedShadow::Mark SharedShadow::mark_of(std::uint32_t agent, std::uint32_t time) {
  return Mark{1} << 62 | Mark{time} << 11 | agent;
}

std::uint32_t SharedShadow::agent_of(Mark mark) {
  return static_cast<std::uint32_t>(mark & 2'047);
}

bool SharedShadow::races(Mark mark, const Moment& now) {
  const std::uint32_t agent = agent_of(mark);
  if (mark == 0 || agent == now.thread) return false;
  const std::uint32_t teller = agent < kCopies ? agent / 32 : kWarpsMax + agent - kCopies;
  return static_cast<std::uint32_t>(mark >> 11) >= (*now.seen)[teller];
}

void SharedShadow::reset(std::size_t bytes) {
  words_.assign((bytes + kWordBytes - 1) / kWordBytes, Word());
  fenced_.fill(0);
}

std::string SharedShadow::range_error(std::size_t offset, std::size_t size) const {
  const std::size_t last = (offset + size + kWordBytes - 1) / kWordBytes;
  if (offset % kWordBytes == 0 && last <= words_.size()) return {};
  return "shared memory: " + where(offset, size) + " of " + std::to_string(words_.size() * 4);
}

std::string SharedShadow::touch(Access access, std::size_t offset, std::size_t size,
                                const Moment& now) {
  std::string wrong = range_error(offset, size);
  if (!wrong.empty()) return wrong;
  const std::size_t last = (offset + size + kWordBytes - 1) / kWordBytes;
  const Mark mine = mark_of(now.thread, now.epoch);
  for (std::size_t i = offset / kWordBytes; i < last; ++i) {
    Word& word = words_[i];
    const bool against_readers =
        access != Access::read && (races(word.readers[0], now) || races(word.readers[1], now));
    const bool against_atomics = access != Access::atomic && races(word.atomic, now);
    if (races(word.writer, now) || against_readers || against_atomics) {
      return "shared memory: race on " + where(offset, size) + " by thread " +
             std::to_string(now.thread);
    }
    if (access != Access::write && !word.written) {
      return "shared memory: " + where(offset, size) + " read, but nobody wrote them";
    }
    if (access == Access::read) {
      if (agent_of(word.readers[0]) != now.thread || word.readers[0] == 0) {
        word.readers[1] = word.readers[0];
      }
      word.readers[0] = mine;
    } else {
      (access == Access::write ? word.writer : word.atomic) = mine;
      word.written = true;
      if (access == Access::write) word.event = now.event;
    }
  }
  return {};
}

std::string SharedShadow::copy(std::size_t offset, std::size_t size, const Moment& now,
                               std::uint32_t gate, std::uint32_t phase) {
  std::string wrong = range_error(offset, size);
  if (wrong.empty()) wrong = unfenced(offset, size);
  if (!wrong.empty()) return wrong;
  for (std::size_t i = offset / kWordBytes; i < (offset + size) / kWordBytes; ++i) {
    Word& word = words_[i];
    if (races(word.writer, now) || races(word.atomic, now) || races(word.readers[0], now) ||
        races(word.readers[1], now)) {
      return "shared memory: race on " + where(offset, size) + " by a copy of thread " +
             std::to_string(now.thread);
    }
    word.writer = mark_of(kCopies + gate, phase);
    word.written = true;
  }
  return {};
}

std::string SharedShadow::unfenced(std::size_t offset, std::size_t size) const {
  std::string wrong = range_error(offset, size);
  if (!wrong.empty()) return wrong;
  for (std::size_t i = offset / kWordBytes; i < (offset + size) / kWordBytes; ++i) {
    const std::uint32_t agent = agent_of(words_[i].writer);
    if (words_[i].writer == 0 || agent >= kCopies || fenced_[agent] > words_[i].event) continue;
    return "shared memory: " + where(offset, size) + " written by thread " + std::to_string(agent) +
           ", which made no fence.proxy.async";
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
