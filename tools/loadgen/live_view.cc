// The line that is redrawn. Comes beside run_load; main thread. Always holds: it
// writes to standard error only, and never waits for a terminal that is not
// there.
#include "tools/loadgen/live_view.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace vecserve::loadgen {
namespace {

constexpr std::size_t kStripColumns = 32;
constexpr double kSayEveryS = 10.0;

}  // namespace

std::string strip(const std::deque<double>& values) {
  constexpr std::array<const char*, 9> blocks = {" ",      "\u2581", "\u2582", "\u2583", "\u2584",
                                                 "\u2585", "\u2586", "\u2587", "\u2588"};
  double low = HUGE_VAL;
  double high = 0.0;
  for (const double value : values) {
    if (value <= 0.0) continue;
    low = std::min(low, std::log(value));
    high = std::max(high, std::log(value));
  }
  // Less than a factor of two is no news.
  const double span = std::max(std::log(2.0), high - low);
  std::string text;
  for (const double value : values) {
    if (value <= 0.0) {
      text += blocks[0];
      continue;
    }
    const double height = 1.0 + 7.0 * (std::log(value) - low) / span;
    text += blocks[static_cast<std::size_t>(std::clamp(height, 1.0, 8.0))];
  }
  return text;
}

LiveView::LiveView(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

LiveView::~LiveView() {
  finish();
}

void LiveView::finish() {
  if (drawn_) std::fprintf(stderr, "\n");
  drawn_ = false;
}

void LiveView::show(const LiveState& state) {
  const engine::Histogram& interval = *state.interval;
  tails_.push_back(static_cast<double>(interval.value_at(0.99)));
  if (tails_.size() > kStripColumns) tails_.pop_front();
  if (quiet_ || (!terminal_ && state.elapsed_s - said_s_ < kSayEveryS)) return;
  said_s_ = state.elapsed_s;
  std::fprintf(stderr, "%s%5.1f/%.0f s  %llu done  response now p50 %s max %s  p99 %s%s",
               terminal_ ? "\r\033[K" : "", state.elapsed_s, state.duration_s,
               static_cast<unsigned long long>(state.completed),
               duration_text(static_cast<double>(interval.value_at(0.5))).c_str(),
               duration_text(static_cast<double>(interval.max())).c_str(), strip(tails_).c_str(),
               terminal_ ? "" : "\n");
  std::fflush(stderr);
  drawn_ = terminal_;
}

}  // namespace vecserve::loadgen
