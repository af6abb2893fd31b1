// The signals of a daemon as values that are waited for, so that nothing runs in a signal handler.
// block_signals() comes first in main(), before any thread is made; main thread. Always holds: no
// thread of the process is interrupted by them, and SIGPIPE never ends it.
#pragma once

#include <chrono>

namespace vecserve::daemon {

enum class Signal { none, stop, reload };

void block_signals();

// Waits for the next one; none when the time is over.
[[nodiscard]] Signal wait_for_signal(std::chrono::milliseconds at_most);

}  // namespace vecserve::daemon
