// The lines, by spdlog. Any thread after start_log(). Always holds: at most kLinesPerSecond
// warnings of clients get through; the rest are counted and told in one line, so that somebody who
// misbehaves cannot fill a disk.
#include "tools/vecserve/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <mutex>

namespace vecserve::daemon {

namespace {

constexpr std::uint32_t kLinesPerSecond = 20;

bool as_json = false;

// Lets through what a second allows; `missed` is what it kept back in the second before.
bool let_through(std::uint32_t& missed) {
  static std::mutex mutex;
  static std::chrono::steady_clock::time_point begin;
  static std::uint32_t count = 0;
  const std::lock_guard lock(mutex);
  const auto now = std::chrono::steady_clock::now();
  if (now - begin >= std::chrono::seconds(1)) {
    missed = count > kLinesPerSecond ? count - kLinesPerSecond : 0;
    begin = now;
    count = 0;
  }
  return ++count <= kLinesPerSecond;
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

std::string line_of(std::string_view what, LogValues values) {
  std::string line;
  if (as_json) {
    line = "\"what\":\"" + escaped(what) + "\"";
    for (const auto& [name, value] : values) {
      line += ",\"";
      line += name;
      line += "\":\"";
      line += escaped(value);
      line += '"';
    }
    return line;
  }
  line = what;
  for (const auto& [name, value] : values) {
    line += ' ';
    line += name;
    line += '=';
    line += escaped(value);
  }
  return line;
}

spdlog::level::level_enum level_of(net::ServerEvent::Level level) {
  switch (level) {
    case net::ServerEvent::Level::info:
      return spdlog::level::info;
    case net::ServerEvent::Level::warning:
      return spdlog::level::warn;
    case net::ServerEvent::Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void start_log(const std::string& level, const std::string& format) {
  as_json = format == "json";
  auto logger = std::make_shared<spdlog::logger>("vecserve",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(as_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"
                              : "%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void log(net::ServerEvent::Level level, std::string_view what, LogValues values) {
  std::uint32_t missed = 0;
  if (level == net::ServerEvent::Level::warning && !let_through(missed)) return;
  if (missed > 0) spdlog::warn(line_of("lines left out", {{"count", std::to_string(missed)}}));
  spdlog::log(level_of(level), line_of(what, values));
}

}  // namespace vecserve::daemon
