// SIGTERM and SIGINT stop, SIGHUP reloads. Between the kernel and the daemon's main loop, on the
// main thread.
// Always holds: a signal that came while nobody waited is still there at the next wait.
#include "tools/vecserve/signals.h"

#include <signal.h>
#include <time.h>

namespace vecserve::daemon {

namespace {

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

void block_signals() {
  const sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

Signal wait_for_signal(std::chrono::milliseconds at_most) {
  const sigset_t set = watched();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at_most);
  timespec time = {};
  time.tv_sec = seconds.count();
  time.tv_nsec = std::chrono::nanoseconds(at_most - seconds).count();
  const int signal_number = sigtimedwait(&set, nullptr, &time);
  if (signal_number == SIGHUP) return Signal::reload;
  return signal_number > 0 ? Signal::stop : Signal::none;
}

}  // namespace vecserve::daemon
