// Checks engine/graph/read_epochs: who counts as reading from before, and that nothing is freed
// under a reader, with many threads. Threads of its own. Always holds: seeds are fixed; loops end
// by counts, not by time.
#include "engine/graph/read_epochs.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace {

using namespace vecserve::engine;

TEST_CASE("read epochs: a reader from before keeps what was retired, a later one does not") {
  ReadEpochs epochs;
  CHECK(epochs.quiet(epochs.retire()));
  auto before = std::make_optional<ReadEpochs::Reading>(epochs);
  const std::uint64_t retired = epochs.retire();
  const ReadEpochs::Reading later(epochs);
  CHECK_FALSE(epochs.quiet(retired));
  before.reset();
  CHECK(epochs.quiet(retired));
}

TEST_CASE("read epochs: what a reader has found is not freed while it reads") {
  ReadEpochs epochs;
  std::atomic<std::uint64_t*> shared{new std::uint64_t(7)};
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!done.load(std::memory_order_relaxed)) {
        const ReadEpochs::Reading reading(epochs);
        const std::uint64_t* const found = shared.load(std::memory_order_acquire);
        for (int i = 0; i < 20; ++i) wrong.fetch_add(*found == 7 ? 0U : 1U);
      }
    });
  }
  for (int round = 0; round < 500; ++round) {
    std::uint64_t* const old = shared.exchange(new std::uint64_t(7), std::memory_order_acq_rel);
    const std::uint64_t retired = epochs.retire();
    while (!epochs.quiet(retired)) std::this_thread::yield();
    *old = 0;
    delete old;
  }
  done.store(true);
  for (auto& reader : readers) reader.join();
  delete shared.load();
  CHECK(wrong.load() == 0);
}

}  // namespace
