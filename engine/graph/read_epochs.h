// Who is reading a graph, so that its one repairing thread knows when nobody can still hold a node
// that it took out. A reader stores the epoch that it began in; memory that was retired in an epoch
// is free once every reader of now began later. Readers never wait; the repairing thread does not
// either, it looks again later. Always holds: what a writer unlinked before retire() is not found
// by a reader that quiet() does not count.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace vecserve::engine {

class ReadEpochs {
 public:
  // Readers at one time: twice the lanes that search, so that there is always a place.
  static constexpr std::uint32_t kReaders = 128;

  class Reading {
   public:
    explicit Reading(ReadEpochs& epochs) : place_(&epochs.enter()) {}
    ~Reading() { place_->store(0, std::memory_order_release); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    std::atomic<std::uint64_t>* place_;
  };

  // What was unlinked so far may be freed once quiet(what this returns).
  [[nodiscard]] std::uint64_t retire() {
    return epoch_.fetch_add(1, std::memory_order_seq_cst) + 1;
  }
  // Whether every reader that there is began after that.
  [[nodiscard]] bool quiet(std::uint64_t retired) const;

 private:
  struct alignas(64) Place {
    std::atomic<std::uint64_t> epoch{0};  // 0: nobody
  };

  std::atomic<std::uint64_t>& enter();

  std::atomic<std::uint64_t> epoch_{1};
  std::array<Place, kReaders> places_;
};

}  // namespace vecserve::engine
