// One server process: opens the database, serves it, waits for signals, ends in order. Below
// main(); main thread. Always holds: it listens only when everything else is ready, and after a
// clean end everything acknowledged is durable.
#pragma once

#include "tools/vecserve/settings.h"

namespace vecserve::daemon {

// Until it is told to stop. Returns the exit code: 0 after a clean end, 1 when it could not start
// or when requests were still unanswered at its end.
[[nodiscard]] int run_daemon(const Settings& settings);

}  // namespace vecserve::daemon
