// The queue of encoded frames of one connection. Between lanes and the session's writer. put() from
// any thread. Always holds: bytes_ is what waits plus what was taken and has not left, and the
// total counts the same bytes.
#include "net/outbox.h"

#include <utility>

#include "engine/base/check.h"
#include "net/brief_lock.h"
#include "net/limits.h"

namespace vecserve::net {

namespace {

// Waking takes a little memory. Who is not woken would write nothing until its client gave up.
constexpr int kWakeTries = 3;

// The innermost one of this thread.
thread_local WakesTogether* current = nullptr;

void wake_surely(const std::function<void()>& wake) noexcept {
  for (int i = 0; i < kWakeTries; ++i) {
    try {
      return wake();
    } catch (...) {
      continue;
    }
  }
}

}  // namespace

WakesTogether::WakesTogether() : outer_(current) {
  current = this;
}

WakesTogether::~WakesTogether() {
  current = outer_;
  for (const Wake& wake : wakes_) wake_surely(*wake);
}

Outbox::Outbox(std::size_t bytes_max, ByteTotal& total, std::function<void()> wake)
    : bytes_max_(bytes_max),
      total_(total),
      wake_(std::make_shared<const std::function<void()>>(std::move(wake))) {}

Outbox::~Outbox() {
  total_.remove(bytes_.load(std::memory_order_acquire));
}

void Outbox::put(std::string frame) {
  bool wake = false;
  {
    const auto lock = lock_briefly(mutex_);
    if (closed_ || overflowed()) return;
    const std::size_t held = bytes();
    // When all connections together hold too much, those go that hold more than the little that
    // everybody may.
    const bool greedy = total_.exceeded() && held > limits::outbox_bytes_soft;
    wake = waiting_.empty();
    if (held > bytes_max_ || greedy) {
      overflowed_.store(true, std::memory_order_release);
      wake = true;
    } else {
      bytes_.fetch_add(frame.size(), std::memory_order_acq_rel);
      total_.add(frame.size());
      if (waiting_.empty()) {
        waiting_ = std::move(frame);
      } else {
        waiting_ += frame;
      }
    }
  }
  if (wake) this->wake();
}

void Outbox::wake() {
  if (WakesTogether* const together = current) {
    together->wakes_.push_back(wake_);
  } else {
    (*wake_)();
  }
}

bool Outbox::take(std::string& out) {
  out.clear();
  const auto lock = lock_briefly(mutex_);
  if (waiting_.empty()) return false;
  out.swap(waiting_);
  return true;
}

void Outbox::sent(std::size_t bytes) {
  VECSERVE_DCHECK(bytes <= this->bytes());
  bytes_.fetch_sub(bytes, std::memory_order_acq_rel);
  total_.remove(bytes);
}

void Outbox::fail() noexcept {
  overflowed_.store(true, std::memory_order_release);
  wake_surely(*wake_);
}

void Outbox::close() {
  const auto lock = lock_briefly(mutex_);
  closed_ = true;
  const std::size_t dropped = waiting_.size();
  waiting_.clear();
  waiting_.shrink_to_fit();
  bytes_.fetch_sub(dropped, std::memory_order_acq_rel);
  total_.remove(dropped);
}

}  // namespace vecserve::net
