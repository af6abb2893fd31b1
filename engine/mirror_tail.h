// How far a GPU's mirror lags behind one collection, and what that means for writers: the rows past
// the watermark are scanned by the CPU with every search, so that a writer who would make them too
// many waits for the mirror's keeper. Comes between mirror_keeper, which moves the watermark, and
// write. Any thread. Always holds: only writers wait, and only while the keeper gets on; where rows
// cannot be mirrored, for want of room, of planes or of a device, nobody waits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace vecserve::engine {

class MirrorTail {
 public:
  // Rows past the watermark that a search is to scan at the most, beside what writers that came in
  // at the same time bring; as for a graph.
  static constexpr std::uint64_t kTailMax = 8'192;
  // Of a writer, without any progress of the keeper.
  static constexpr std::chrono::milliseconds kPatience{10};

  // `patience`: tests give other than the product's.
  explicit MirrorTail(std::chrono::milliseconds patience = kPatience) : patience_(patience) {}

  // -- The keeper -------------------------------------------------------------------------------
  // The keeper has seen all rows below that slot on the device. They may be moved to a block later
  // that is not there before the next pass: the watermark stays.
  void advance(std::uint64_t watermark);
  // At the end of a pass: whether it brought over all rows that it saw.
  void end_pass(bool whole);

  // -- Any thread -------------------------------------------------------------------------------
  // Before a write to a collection with so many slots. Returns whether the writer had to wait. It
  // has to only while the last pass that ended was whole.
  bool slow_writer(std::uint64_t slots);
  [[nodiscard]] std::uint64_t watermark() const {
    return watermark_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t slowed() const {  // writers that had to wait, ever
    return slowed_.load(std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] bool too_long(std::uint64_t slots) const;

  const std::chrono::milliseconds patience_;
  std::atomic<std::uint64_t> watermark_{0};
  std::atomic<bool> keeps_up_{false};  // the last pass that ended was whole
  std::atomic<std::uint64_t> slowed_{0};
  std::mutex mutex_;
  std::condition_variable moved_;
};

}  // namespace vecserve::engine
