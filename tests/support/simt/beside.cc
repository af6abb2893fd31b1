// See beside.h. Copies and products happen at once, when they are asked for, and are marked as
// happening later: who looks at what they write, or changes what they read, without having been
// told of their end is reported whatever the order was. Emulated threads. Always holds: what is
// wrong ends the launch.
#include "tests/support/simt/beside.h"

#include <algorithm>
#include <cstring>

#include "tests/support/simt/simt.h"

namespace vecserve::test::simt {

namespace {

constexpr unsigned kWarpgroup = 128;

void fail_if(std::string&& wrong) {
  if (!wrong.empty()) fail(std::move(wrong));
}

Gate& gate_at(std::size_t offset) {
  const auto found = beside().gates.find(offset);
  if (found == beside().gates.end()) fail("mbarrier: nobody made the one at that place");
  touch_shared(Access::atomic, offset, 8);
  return found->second;
}

void end_phase_if_due(Gate& gate) {
  if (gate.missing != 0 || gate.bytes != 0) return;
  gate.told = gate.coming;
  gate.coming = Clock{};
  gate.missing = gate.arrivals;
  ++gate.phase;
  note_progress();
}

Asking& asking() {
  return beside().asking[thread_index().x];
}

std::vector<Multiplication>& products() {
  return beside().products[thread_index().x / kWarpgroup];
}

// Products of the thread's warpgroup are the same for all of its warps, in the same order.
Multiplication& next_product(std::uint64_t descriptor) {
  std::vector<Multiplication>& all = products();
  const std::uint64_t number = asking().asked;
  if (thread_index().x / kWarpgroup * kWarpgroup + kWarpgroup > block_dimension().x) {
    fail("wgmma: a warpgroup is four warps");
  }
  if (number == all.size()) all.push_back({descriptor, 0, kWarpgroup});
  Multiplication& product = all[number];
  if (product.descriptor != descriptor) fail("wgmma: descriptors differ within the warpgroup");
  return product;
}

// The bytes that B is made of, for one lane of each warp: so many marks are enough.
template <typename Look>
void each_run(const MatrixPlace& place, const Look& look) {
  if (thread_index().x % 32 != 0) return;
  for (unsigned n = 0; n < 64; ++n) {
    for (unsigned k = 0; k < 32; k += 16) look(place.at(n, k));
  }
}

}  // namespace

MatrixPlace MatrixPlace::decode(std::uint64_t descriptor) {
  const auto field = [&](unsigned bit) { return std::size_t{descriptor >> bit & 0x3fff} << 4; };
  return {field(0), field(16), field(32), static_cast<std::uint32_t>(descriptor >> 49 & 7),
          static_cast<std::uint32_t>(descriptor >> 62)};
}

std::string Beside::in_use(std::size_t offset, std::size_t size) const {
  for (const auto& [warpgroup, all] : products) {
    for (const Multiplication& product : all) {
      const MatrixPlace place = MatrixPlace::decode(product.descriptor);
      for (unsigned run = 0; run < 128 && product.waiting != 0; ++run) {
        const std::size_t at = place.at(run / 2, run % 2 * 16);
        if (at >= offset + size || offset >= at + 16) continue;
        return "wgmma: " + std::to_string(at) + " of shared memory changes before the wait";
      }
    }
  }
  return {};
}

std::string Beside::unfinished() const {
  for (const auto& [warpgroup, all] : products) {
    for (const Multiplication& product : all) {
      if (product.warps != 4) return "wgmma: not all warps of a warpgroup asked for a product";
      if (product.waiting != 0) return "wgmma: not all threads waited for a product";
    }
  }
  for (const auto& [offset, gate] : gates) {
    if (gate.bytes != 0) return "mbarrier: bytes and expected bytes are not the same";
  }
  return {};
}

void gate_init(std::size_t offset, unsigned arrivals) {
  if (offset % 8 != 0 || arrivals == 0 || arrivals >= 1u << 20) {
    fail("mbarrier: eight bytes at a multiple of eight, and an arrival");
  }
  touch_shared(Access::write, offset, 8);
  auto& gates = beside().gates;
  const auto number = static_cast<std::uint32_t>(gates.size());
  if (number == kGatesMax || gates.contains(offset)) fail("mbarrier: made twice, or too many");
  Gate& gate = gates[offset];
  gate.number = number;
  gate.arrivals = gate.missing = arrivals;
}

void gate_arrive(std::size_t offset, unsigned bytes) {
  Gate& gate = gate_at(offset);
  if (gate.missing == 0) fail("mbarrier: more arrivals than it was made for");
  gate.bytes += bytes;
  --gate.missing;
  join(gate.coming, clock_of_thread());
  note_progress();
  end_phase_if_due(gate);
}

bool gate_wait(std::size_t offset, unsigned parity) {
  const Gate& gate = gate_at(offset);
  while ((gate.phase & 1) == parity) {
    if (nobody_comes()) return false;
    wait_turn();
  }
  join(clock_of_thread(), gate.told);
  std::uint32_t& phases = clock_of_thread()[kWarpsMax + gate.number];
  phases = std::max(phases, gate.phase);
  return true;
}

void copy_beside(std::size_t to, const void* from, std::size_t bytes, std::size_t gate_offset) {
  if (to % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0 || bytes % 16 != 0 ||
      bytes == 0) {
    fail("cp.async.bulk: addresses and size are multiples of 16");
  }
  Gate& gate = gate_at(gate_offset);
  touch_device(Access::read, from, bytes);
  fail_if(shared_shadow().unfenced(gate_offset, 8));
  fail_if(beside().in_use(to, bytes));
  fail_if(shared_shadow().copy(to, bytes, moment(), gate.number, gate.phase));
  if (running_launch().lose_copies) return;
  std::memcpy(shared_memory() + to, from, bytes);
  gate.bytes -= static_cast<std::int64_t>(bytes);
  end_phase_if_due(gate);
}

void fence_async() {
  const Moment now = moment();
  shared_shadow().fence_async(now.thread, now.event);
}

void products_fence() {
  const std::byte nothing{};
  static_cast<void>(exchange("wgmma.fence", &nothing, 1));
  asking().fenced = moment().event;
}

std::uint64_t multiply_beside(const unsigned (&rows)[4], std::uint64_t descriptor,
                              int (&sums)[32]) {
  struct Mine {
    unsigned rows[4];
    std::uint64_t descriptor;
  } mine = {{rows[0], rows[1], rows[2], rows[3]}, descriptor};
  const Slots& slots = exchange("wgmma.m64n64k32.s8", &mine, sizeof(mine));
  Multiplication& product = next_product(descriptor);
  if (thread_index().x % 32 == 0) ++product.warps;
  const MatrixPlace place = MatrixPlace::decode(descriptor);
  if (place.swizzle != 0 || place.base != 0) fail("wgmma: only without swizzling");
  each_run(place, [](std::size_t at) {
    touch_shared(Access::read, at, 16);
    fail_if(shared_shadow().unfenced(at, 16));
  });
  // Row r of the warp's sixteen: bytes 0-15 in the first or second register of four lanes, bytes
  // 16-31 in the third or fourth one.
  const unsigned lane = thread_index().x % 32;
  std::int8_t row[2][32];
  for (unsigned half = 0; half < 2; ++half) {
    for (unsigned k = 0; k < 32; ++k) {
      const unsigned from = lane / 4 * 4 + k % 16 / 4;
      const unsigned which = k / 16 * 2 + half;
      std::memcpy(&row[half][k], slots.bytes[from] + 4 * which + k % 4, 1);
    }
  }
  // D: of row lane / 4, and then of the row eight below, columns 2 (lane % 4) and the next, of each
  // eight columns.
  const std::byte* const memory = shared_memory();
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    std::int8_t bytes[32];
    std::memcpy(bytes, memory + place.at(column, 0), 16);
    std::memcpy(bytes + 16, memory + place.at(column, 16), 16);
    int sum = 0;
    for (unsigned k = 0; k < 32; ++k) sum += int{row[i / 2 % 2][k]} * int{bytes[k]};
    sums[i] += sum;
  }
  return ++asking().asked;
}

void products_commit() {
  const std::byte nothing{};
  static_cast<void>(exchange("wgmma.commit_group", &nothing, 1));
  Asking& mine = asking();
  mine.committed = mine.asked;
  mine.groups.push_back(mine.asked);
}

void products_wait(unsigned groups) {
  const std::byte nothing{};
  static_cast<void>(exchange("wgmma.wait_group", &nothing, 1));
  Asking& mine = asking();
  while (mine.groups.size() > groups) {
    for (; mine.done < mine.groups.front(); ++mine.done) {
      Multiplication& product = products()[mine.done];
      --product.waiting;
      // What it read it may have read as late as now.
      each_run(MatrixPlace::decode(product.descriptor),
               [](std::size_t at) { touch_shared(Access::read, at, 16); });
    }
    mine.groups.erase(mine.groups.begin());
  }
}

bool product_done(std::uint64_t product) {
  return product <= asking().done;
}

std::uint64_t last_fence() {
  return asking().fenced;
}

}  // namespace vecserve::test::simt
