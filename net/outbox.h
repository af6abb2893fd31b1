// What waits to be written to one connection: encoded frames, put in by lanes and the io thread,
// taken out by the session's writer. After reply, before the socket. Asio-free; put() from any
// thread, the rest from the connection's io thread.
// Always holds: what is in it and being written never exceeds its bound by more than one frame;
// past it the outbox overflows, takes nothing more, and the connection is to be cut off.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vecserve::net {

// Bytes held for all connections together, such as outboxes and bodies that are still arriving.
class ByteTotal {
 public:
  explicit ByteTotal(std::size_t max) : max_(max) {}
  void add(std::size_t bytes) { held_.fetch_add(bytes, std::memory_order_relaxed); }
  void remove(std::size_t bytes) { held_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t held() const { return held_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool exceeded() const { return held() > max_; }

 private:
  const std::size_t max_;
  std::atomic<std::size_t> held_{0};
};

using Wake = std::shared_ptr<const std::function<void()>>;

// While one lives on a thread, outboxes that get something from it do not wake their writers at
// once, but all together when it ends. For who has many replies to give: woken by the first of
// them, a writer would write each by itself.
class WakesTogether {
 public:
  WakesTogether();
  ~WakesTogether();
  WakesTogether(const WakesTogether&) = delete;
  WakesTogether& operator=(const WakesTogether&) = delete;

 private:
  friend class Outbox;
  WakesTogether* const outer_;
  std::vector<Wake> wakes_;
};

class Outbox {
 public:
  // `wake` is called, by any thread and under no lock, when there is something to take after there
  // was nothing, and when it overflows; perhaps after the outbox is gone. `total` must outlive the
  // outbox.
  Outbox(std::size_t bytes_max, ByteTotal& total, std::function<void()> wake);
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Takes a frame; drops it when closed or overflowed.
  void put(std::string frame);

  // Moves all that waits into `out`, which is emptied first; false if there is nothing. The bytes
  // count as held until sent() says that they left.
  [[nodiscard]] bool take(std::string& out);
  void sent(std::size_t bytes);

  // Drops what waits and whatever comes.
  void close();
  // As if it had overflowed: the connection is to be cut off.
  void fail() noexcept;

  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_acquire); }
  [[nodiscard]] bool overflowed() const { return overflowed_.load(std::memory_order_acquire); }

 private:
  void wake();

  const std::size_t bytes_max_;
  ByteTotal& total_;
  const Wake wake_;

  std::mutex mutex_;
  std::string waiting_;  // guarded by mutex_
  bool closed_ = false;  // guarded by mutex_
  std::atomic<std::size_t> bytes_{0};
  std::atomic<bool> overflowed_{false};
};

}  // namespace vecserve::net
