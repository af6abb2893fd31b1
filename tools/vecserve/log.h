// Structured logs of the daemon on standard error: a fixed phrase and named values, as text for
// people or as one JSON object per line for programs. Any thread. Always holds: nothing that a
// client sent is logged but its address and its token's name, and JSON lines are always valid JSON.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "net/server_options.h"

namespace vecserve::daemon {

using LogValues = std::initializer_list<std::pair<std::string_view, std::string>>;

// Once, before the first line.
void start_log(const std::string& level, const std::string& format);

void log(net::ServerEvent::Level level, std::string_view what, LogValues values = {});

}  // namespace vecserve::daemon
