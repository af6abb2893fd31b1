// See simt.h. A block's threads are fibers that take turns warp by warp; a thread that waits is
// asked again when its warp's turn comes. Runs on the launching thread. Always holds: fibers are
// kept from launch to launch, one set per thread of the host.
#include "tests/support/simt/simt.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tests/support/simt/beside.h"
#include "tests/support/simt/fiber.h"

namespace vecserve::test::simt {

namespace {

constexpr unsigned kLanes = 32;

struct Warp {
  // Two sets: nobody comes to the operation after next before all have read this one.
  Slots slots[2];
  const char* operation = nullptr;
  std::size_t arrived = 0;
  std::uint32_t generation = 0;
  std::uint32_t epoch = 1;  // see Moment
};

// Those who have come to a barrier of some of the threads.
struct Meeting {
  std::vector<unsigned> threads;
  std::uint32_t generation = 0;
};
constexpr unsigned kMeetings = 16;

struct Machine {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  std::vector<Clock> clocks;      // of the threads
  std::vector<unsigned> numbers;  // theirs, one after another
  std::vector<std::byte> shared;
  SharedShadow shadow;
  Beside beside;
  Meeting meetings[kMeetings];
  Launch launch;
  const std::function<void()>* kernel = nullptr;
  Index thread;
  Index block;
  Index block_size;
  Index grid_size;
  unsigned at_barrier = 0;
  unsigned finished = 0;
  std::uint32_t block_epoch = 0;
  std::uint64_t progress = 0;  // rises whenever a thread gets further
  std::uint64_t events = 0;
  bool nobody_comes = false;
  std::string error;
};

// Of the running launch; a pointer, since threads ask who they are all the time.
thread_local Machine* machine = nullptr;

void enter(void* kernel) {
  (*static_cast<const std::function<void()>*>(kernel))();
}

// These threads, of whole warps, tell each other all that they know, and begin a new epoch.
void join_threads(std::span<const unsigned> threads) {
  Clock all{};
  for (const unsigned t : threads) join(all, machine->clocks[t]);
  for (const unsigned t : threads) {
    if (t % kLanes == 0) all[t / kLanes] = ++machine->warps[t / kLanes].epoch;
  }
  for (const unsigned t : threads) machine->clocks[t] = all;
}

// One turn for each thread of the warp that is not done.
void run_warp(unsigned warp) {
  for (unsigned lane = 0; lane < kLanes && machine->error.empty(); ++lane) {
    const unsigned thread = warp * kLanes + lane;
    Fiber& fiber = *machine->fibers[thread];
    if (fiber.finished()) continue;
    machine->thread.x = thread;
    fiber.resume();
    if (fiber.finished()) {
      ++machine->finished;
      ++machine->progress;
    }
  }
}

void run_block(unsigned block) {
  machine->block.x = block;
  machine->at_barrier = machine->finished = 0;
  machine->nobody_comes = false;
  machine->block_epoch = 0;
  machine->shadow.reset(machine->launch.shared_bytes);
  std::fill(machine->shared.begin(), machine->shared.end(), std::byte{0xcd});
  for (Warp& warp : machine->warps) {
    warp.operation = nullptr;
    warp.arrived = 0;
    warp.generation = 0;
    warp.epoch = 1;
  }
  for (Meeting& meeting : machine->meetings) meeting = Meeting();
  machine->beside = Beside();
  machine->clocks.assign(machine->launch.block, Clock{});
  for (unsigned t = 0; t < machine->launch.block; ++t) machine->clocks[t][t / kLanes] = 1;
  for (unsigned t = 0; t < machine->launch.block; ++t) {
    machine->fibers[t]->start(enter, const_cast<std::function<void()>*>(machine->kernel));
  }
  const auto warps = static_cast<unsigned>(machine->warps.size());
  const auto turn = static_cast<unsigned>(machine->launch.seed % warps);
  while (machine->finished < machine->launch.block && machine->error.empty()) {
    const std::uint64_t before = machine->progress;
    for (unsigned w = 0; w < warps; ++w) run_warp((w + turn + block) % warps);
    if (machine->progress == before && machine->launch.lose_copies && !machine->nobody_comes) {
      machine->nobody_comes = true;
    } else if (machine->progress == before && machine->error.empty()) {
      machine->error =
          "block " + std::to_string(block) + ": threads wait for others that will never come";
    }
  }
  if (machine->error.empty() && !machine->launch.lose_copies) {
    machine->error = machine->beside.unfinished();
  }
}

}  // namespace

std::string run(const Launch& launch, const std::function<void()>& kernel) {
  if (launch.block == 0 || launch.block % kLanes != 0 || launch.block > 1'024 || launch.grid == 0) {
    return "launch: a block has 32 to 1024 threads, in warps of 32, and a grid has a block";
  }
  static thread_local Machine mine;
  machine = &mine;
  machine->launch = launch;
  machine->kernel = &kernel;
  machine->error.clear();
  machine->block_size.x = launch.block;
  machine->grid_size.x = launch.grid;
  while (machine->fibers.size() < launch.block)
    machine->fibers.push_back(std::make_unique<Fiber>());
  machine->warps.resize(launch.block / kLanes);
  machine->numbers.resize(launch.block);
  std::iota(machine->numbers.begin(), machine->numbers.end(), 0u);
  machine->shared.resize(std::max<std::size_t>(launch.shared_bytes, 1));
  for (unsigned b = 0; b < launch.grid && machine->error.empty(); ++b) {
    run_block(launch.seed % 2 == 0 ? b : launch.grid - 1 - b);
  }
  return machine->error;
}

const Index& thread_index() {
  return machine->thread;
}
const Index& block_index() {
  return machine->block;
}
const Index& block_dimension() {
  return machine->block_size;
}
const Index& grid_dimension() {
  return machine->grid_size;
}

// Comes back with the same thread.
void wait_turn() {
  const Index mine = machine->thread;
  machine->fibers[mine.x]->yield();
}

void fail(std::string&& what) {
  {
    const std::string taken = std::move(what);
    if (machine->error.empty()) {
      machine->error = "block " + std::to_string(machine->block.x) + ", thread " +
                       std::to_string(machine->thread.x) + ": " + taken;
    }
  }
  while (true) wait_turn();  // given up: the launch ends and this fiber is never resumed
}

void sync_block() {
  const std::uint32_t epoch = machine->block_epoch;
  ++machine->progress;
  if (++machine->at_barrier == machine->launch.block) {
    machine->at_barrier = 0;
    ++machine->block_epoch;
    join_threads(std::span(machine->numbers).first(machine->launch.block));
    return;
  }
  while (machine->block_epoch == epoch) wait_turn();
}

// `orders`: what the threads did before is known to all of them afterwards.
static const Slots& meet_in_warp(const char* operation, const void* mine, std::size_t size,
                                 bool orders) {
  const unsigned number = machine->thread.x / kLanes;
  Warp& warp = machine->warps[number];
  if (warp.arrived == 0) {
    warp.operation = operation;
  } else if (std::strcmp(warp.operation, operation) != 0) {
    fail(std::string(operation) + " meets " + warp.operation + " in one warp");
  }
  const std::uint32_t generation = warp.generation;
  Slots& slots = warp.slots[generation % 2];
  std::memcpy(slots.bytes[machine->thread.x % kLanes], mine, std::min(size, kSlotBytes));
  ++machine->progress;
  if (++warp.arrived == kLanes) {
    warp.arrived = 0;
    ++warp.generation;
    if (orders) join_threads(std::span(machine->numbers).subspan(number * kLanes, kLanes));
  } else {
    while (warp.generation == generation) wait_turn();
  }
  return slots;
}

const Slots& exchange(const char* operation, const void* mine, std::size_t size) {
  return meet_in_warp(operation, mine, size, false);
}

void sync_warp() {
  const std::byte nothing{};
  static_cast<void>(meet_in_warp("__syncwarp", &nothing, 1, true));
}

void sync_threads(unsigned barrier, unsigned threads) {
  if (barrier >= kMeetings || threads == 0 || threads % kLanes != 0) {
    fail("bar.sync: one of 16 barriers, and threads of whole warps");
  }
  Meeting& meeting = machine->meetings[barrier];
  const std::uint32_t generation = meeting.generation;
  meeting.threads.push_back(machine->thread.x);
  ++machine->progress;
  if (meeting.threads.size() < threads) {
    while (meeting.generation == generation) wait_turn();
    return;
  }
  ++meeting.generation;
  join_threads(meeting.threads);
  meeting.threads.clear();
}

Beside& beside() {
  return machine->beside;
}
SharedShadow& shared_shadow() {
  return machine->shadow;
}
const Launch& running_launch() {
  return machine->launch;
}
Clock& clock_of_thread() {
  return machine->clocks[machine->thread.x];
}
Moment moment() {
  return {machine->thread.x, machine->warps[machine->thread.x / kLanes].epoch, ++machine->events,
          &clock_of_thread()};
}
void note_progress() {
  ++machine->progress;
}
bool nobody_comes() {
  return machine->nobody_comes;
}

std::byte* shared_memory() {
  return machine->shared.data();
}

void touch_shared(Access access, std::size_t offset, std::size_t size) {
  std::string wrong;
  if (access != Access::read) wrong = machine->beside.in_use(offset, size);
  if (wrong.empty()) wrong = machine->shadow.touch(access, offset, size, moment());
  if (!wrong.empty()) fail(std::move(wrong));
}

void touch_device(Access access, const void* address, std::size_t size) {
  std::string wrong = DeviceMemory::touch(access, address, size);
  if (!wrong.empty()) fail(std::move(wrong));
}

}  // namespace vecserve::test::simt
