// What the emulator remembers about memory beside its bytes: who wrote and read each word of a
// block's shared memory since when, and which bytes of device memory were ever written. Comes below
// simt.h; machine.h asks it at each access. One launch at a time for a SharedShadow; DeviceMemory
// is safe from any thread. Always holds: two accesses to a word of shared memory by different
// threads, one of them a plain write, with no barrier between them, are reported, whatever the
// order in which the emulator ran them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vecserve::test::simt {

// When an access happened, as barriers tell time.
struct Moment {
  std::uint32_t thread = 0;
  std::uint32_t block_epoch = 0;  // __syncthreads passed
  std::uint32_t warp_epoch = 0;   // __syncwarp passed, counted by the thread's warp
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

 private:
  using Mark = std::uint64_t;  // a moment in 64 bits, 0: never
  struct Word {
    Mark writer = 0;
    Mark atomic = 0;
    Mark readers[2] = {};  // the last of two different threads: enough to find one that is not us
    bool written = false;
  };
  [[nodiscard]] static Mark mark_of(const Moment& now);
  [[nodiscard]] static bool races(Mark mark, Mark now);
  [[nodiscard]] static bool same_thread(Mark mark, Mark now);
  std::vector<Word> words_;
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
