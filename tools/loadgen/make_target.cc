// Which target a text names. Comes between commands and targets; main
// thread. Always holds: a text that names none is refused with those that
// there are.
#include "tools/loadgen/make_target.h"

#include <cstdio>
#include <stdexcept>
#include <utility>

#include "tools/loadgen/client_target.h"
#include "tools/loadgen/local_target.h"

namespace vecserve::loadgen {
namespace {

Priority priority_of(const std::string& name) {
  for (std::uint32_t i = 0; i < kPriorityCount; ++i) {
    const auto priority = static_cast<Priority>(i);
    if (to_string(priority) == name) return priority;
  }
  throw std::runtime_error("class: must be interactive, bulk or background");
}

}  // namespace

std::unique_ptr<Target> make_target(const Settings& settings) {
  if (settings.target.find(':') == std::string::npos || settings.target.starts_with("server:")) {
    Result<std::unique_ptr<Target>> target = make_local_target(settings.target);
    if (!target.ok()) throw std::runtime_error(target.status().to_string());
    return std::move(target).value();
  }
  ClientTargetOptions options;
  options.address = settings.target;
  options.token = settings.token;
  options.connections = settings.connections;
  options.collection = settings.collection;
  options.dim = settings.dim;
  options.rows = settings.rows;
  options.k = settings.k;
  options.timeout = std::chrono::microseconds(static_cast<std::int64_t>(settings.timeout_ms * 1e3));
  options.priority = priority_of(settings.priority);
  options.seed = settings.seed;
  Result<std::unique_ptr<ClientTarget>> target = ClientTarget::connect(options);
  if (!target.ok()) throw std::runtime_error(target.status().to_string());
  if (settings.prepare) {
    const Status prepared = (*target)->prepare([&](std::uint64_t rows) {
      if (!settings.quiet && (rows % 50'000 == 0 || rows == settings.rows)) {
        std::fprintf(stderr, "prepared %llu rows\n", static_cast<unsigned long long>(rows));
      }
    });
    if (!prepared.ok()) throw std::runtime_error("prepare: " + prepared.to_string());
  }
  return std::move(target).value();
}

}  // namespace vecserve::loadgen
