// A small emulator of a GPU: runs a kernel that was compiled as host code once for each thread of
// each block, warps of 32, blocks one after another. Comes between an emulated launch and
// machine.h, whose functions the kernel calls. A launch runs on the calling thread; several
// launches may run at once on several threads. Always holds: every thread that waits is waited for
// by threads that can still come; a barrier that some threads never reach, a warp operation that is
// not the same for all 32, a race between barriers and a read of memory nobody wrote end the launch
// with a text that says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tests/support/simt/shadow.h"

namespace vecserve::test::simt {

struct Index {
  unsigned x = 0;
};

struct Launch {
  unsigned grid = 1;    // blocks
  unsigned block = 32;  // threads of each, a multiple of 32 up to 1,024
  std::size_t shared_bytes = 0;
  std::uint64_t seed = 0;    // orders blocks and warps: none of which a kernel may rely on
  bool lose_copies = false;  // what is copied beside the threads never arrives, and waits give up
};

// Runs the kernel; "" or the first thing that is wrong with it.
[[nodiscard]] std::string run(const Launch& launch, const std::function<void()>& kernel);

// -- For machine.h, inside a kernel ---------------------------------------------------------------

[[nodiscard]] const Index& thread_index();
[[nodiscard]] const Index& block_index();
[[nodiscard]] const Index& block_dimension();
[[nodiscard]] const Index& grid_dimension();

void sync_block();
void sync_warp();
// So many threads of whole warps, which meet at one of sixteen barriers.
void sync_threads(unsigned barrier, unsigned threads);

// What each of the 32 threads of a warp brought to an operation.
inline constexpr std::size_t kSlotBytes = 64;
struct Slots {
  std::byte bytes[32][kSlotBytes];
};
// Waits until all 32 threads have come to the same operation; the answer holds until the next one.
[[nodiscard]] const Slots& exchange(const char* operation, const void* mine, std::size_t size);

// Shared memory of the block.
[[nodiscard]] std::byte* shared_memory();
void touch_shared(Access access, std::size_t offset, std::size_t size);
void touch_device(Access access, const void* address, std::size_t size);

// -- For what happens beside the threads: see beside.h --------------------------------------------

struct Beside;
[[nodiscard]] Beside& beside();
[[nodiscard]] SharedShadow& shared_shadow();
[[nodiscard]] const Launch& running_launch();
// The running thread's; what it is told of goes in.
[[nodiscard]] Clock& clock_of_thread();
[[nodiscard]] Moment moment();
// The running thread got further, or cannot yet; the latter comes back when the others had a turn.
void note_progress();
void wait_turn();
// Nobody can get further: waits that may give up are to do so.
[[nodiscard]] bool nobody_comes();

// Ends the launch with this text; does not come back. Takes the text with it, for what it leaves
// behind is never destroyed.
[[noreturn]] void fail(std::string&& what);

}  // namespace vecserve::test::simt
