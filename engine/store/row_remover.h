// Removes the rows of dropped collections, in the background and in bounded memory: a drop itself
// is one small commit that retires the id. Started by rocks_store after load; stopped before it
// closes. Any thread may call; the work runs on one thread of its own. Always holds: the mark of a
// dropped collection goes only after its last row went; what a stop or a crash interrupts is taken
// up again at the next open.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "engine/store/rocks_db.h"

namespace vecserve::engine {

class RowRemover {
 public:
  explicit RowRemover(const RocksDb& rocks) : rocks_(rocks) {}
  ~RowRemover() { stop(); }
  RowRemover(const RowRemover&) = delete;
  RowRemover& operator=(const RowRemover&) = delete;

  // The mark must be stored already. Where there is no memory or thread for it now, nothing happens
  // until the next open.
  void add(std::uint32_t collection) noexcept;
  // Returns after the piece of work in hand. Idempotent.
  void stop();
  // Until nothing is left to do; the first failure, if there was one.
  [[nodiscard]] Status wait();

 private:
  void run();
  Status remove(std::uint32_t collection);
  // Deletes up to one chunk of rows from `from` on; sets `from` to go on, or to "" when done.
  Status remove_chunk(std::uint32_t collection, std::string& from);

  const RocksDb& rocks_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::uint32_t> waiting_;
  bool busy_ = false;
  bool stopped_ = false;
  Status failure_;
};

}  // namespace vecserve::engine
