// What the emulator remembers about memory beside its bytes: who wrote and read each word of a
// block's shared memory since when, and which bytes of device memory were ever written. Comes below
// simt.h; machine.h asks it at each access. One launch at a time for a SharedShadow; DeviceMemory
// is safe from any thread. Always holds: two accesses to a word of shared memory by different
// threads, one of them a plain write, neither of which the other was told of by a barrier or a
// gate, are reported, whatever the order in which the emulator ran them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vecserve::test::simt {

// Whose deeds a thread can know of: those of 32 warps, and of copies that 32 gates tell of.
inline constexpr std::uint32_t kWarpsMax = 32;
inline constexpr std::uint32_t kGatesMax = 32;
// What has happened before, as far as a thread was told: of each warp its epochs below the number,
// of each gate its phases.
using Clock = std::array<std::uint32_t, kWarpsMax + kGatesMax>;
void join(Clock& into, const Clock& from);

// When an access happens.
struct Moment {
  std::uint32_t thread = 0;
  std::uint32_t epoch = 0;  // of the thread's warp: it rises with each barrier that orders the warp
  std::uint64_t event = 0;  // in the order in which the emulator runs threads
  const Clock* seen = nullptr;
};

enum class Access : std::uint8_t { read, write, atomic };

class SharedShadow {
 public:
  // Accesses are remembered for words of so many bytes, which no thread shares with another.
  static constexpr std::size_t kWordBytes = 4;

  void reset(std::size_t bytes);
  // "" or what is wrong with touching [offset, offset + size).
  [[nodiscard]] std::string touch(Access access, std::size_t offset, std::size_t size,
                                  const Moment& now);
  // A copy beside the threads writes it, which `now` started and the gate's phase tells the end of.
  [[nodiscard]] std::string copy(std::size_t offset, std::size_t size, const Moment& now,
                                 std::uint32_t gate, std::uint32_t phase);
  // The thread made what it wrote so far visible to the asynchronous proxy.
  void fence_async(std::uint32_t thread, std::uint64_t event) { fenced_[thread] = event; }
  // "" or who wrote to it and made no such fence.
  [[nodiscard]] std::string unfenced(std::size_t offset, std::size_t size) const;

 private:
  using Mark = std::uint64_t;  // who and when in 64 bits, 0: never
  struct Word {
    Mark writer = 0;
    Mark atomic = 0;
    Mark readers[2] = {};  // the last of two different threads: enough to find one that is not us
    std::uint64_t event = 0;  // of the last write
    bool written = false;
  };
  [[nodiscard]] static Mark mark_of(std::uint32_t agent, std::uint32_t time);
  [[nodiscard]] static bool races(Mark mark, const Moment& now);
  [[nodiscard]] static std::uint32_t agent_of(Mark mark);
  [[nodiscard]] std::string range_error(std::size_t offset, std::size_t size) const;
  std::vector<Word> words_;
  std::array<std::uint64_t, kWarpsMax * 32> fenced_{};
};

// While one exists on a thread, kernels that this thread runs leave word of what they read of a
// range of device memory.
class ReadLog {
 public:
  ReadLog(const void* begin, std::size_t size);
  ~ReadLog();
  ReadLog(const ReadLog&) = delete;
  ReadLog& operator=(const ReadLog&) = delete;
  void note(std::uintptr_t at, std::size_t size);
  // Bytes of [from, from + size) of the range that were read, each counted once.
  [[nodiscard]] std::size_t bytes(std::size_t from, std::size_t size) const;

 private:
  const std::uintptr_t begin_;
  std::vector<std::uint8_t> seen_;
};

// Device memory of an emulated device: host memory with a mark for each byte that was written.
class DeviceMemory {
 public:
  // Null when `bytes` would exceed what is left of the capacity.
  explicit DeviceMemory(std::size_t capacity) : capacity_(capacity) {}
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  [[nodiscard]] void* allocate(std::size_t bytes);
  [[nodiscard]] bool release(void* address);
  [[nodiscard]] std::size_t used() const;

  // Of all devices of this process: "" or what is wrong with the range, were it copied unread.
  [[nodiscard]] static std::string locate(const void* address, std::size_t size);
  // The same, and whether it was ever written; a write marks it.
  [[nodiscard]] static std::string touch(Access access, const void* address, std::size_t size);

 private:
  struct Freed {
    void operator()(void* memory) const { std::free(memory); }
  };
  struct Allocation {
    std::size_t size = 0;
    std::unique_ptr<void, Freed> memory;  // begins before the address
  };
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::map<void*, Allocation> mine_;  // by address; guarded by mutex_
  std::size_t used_ = 0;              // guarded by mutex_
};

}  // namespace vecserve::test::simt
