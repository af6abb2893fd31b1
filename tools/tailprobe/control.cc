// The control thread's loop: sleep to an absolute moment, note when it came, go on from there.
// Beside probe; the thread writes its own vector, which others read only after joining it.
// Always holds: a late wake-up does not move the next ones, but those that it passed over are left
// out: they were part of the same delay.
#include "tools/tailprobe/control.h"

#include <algorithm>

namespace vecserve::tailprobe {
namespace {

constexpr std::chrono::milliseconds kEvery{1};
constexpr std::size_t kTicksMax = 3'600'000;
constexpr std::size_t kTicksReserved = 120'000;  // two minutes without growing

double us_of(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

}  // namespace

ControlThread::ControlThread() {
  wakes_.reserve(kTicksReserved);
  thread_ = std::thread([this] { run(); });
}

void ControlThread::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

void ControlThread::run() {
  auto due = std::chrono::steady_clock::now() + kEvery;
  while (!stopping_.load(std::memory_order_relaxed) && wakes_.size() < kTicksMax) {
    std::this_thread::sleep_until(due);
    const auto now = std::chrono::steady_clock::now();
    wakes_.push_back({due, now});
    while (due <= now) due += kEvery;
  }
}

std::vector<double> ControlThread::lateness_us() const {
  std::vector<double> result;
  result.reserve(wakes_.size());
  for (const Wake& wake : wakes_) result.push_back(us_of(wake.woken - wake.due));
  return result;
}

double ControlThread::late_within_us(std::chrono::steady_clock::time_point from,
                                     std::chrono::steady_clock::time_point to) const {
  // The last wake-up that was due before `from` may reach into the time asked for.
  auto wake = std::lower_bound(wakes_.begin(), wakes_.end(), from,
                               [](const Wake& w, const auto& at) { return w.woken < at; });
  double longest = 0.0;
  for (; wake != wakes_.end() && wake->due < to; ++wake) {
    longest = std::max(longest, us_of(std::min(wake->woken, to) - std::max(wake->due, from)));
  }
  return longest;
}

}  // namespace vecserve::tailprobe
