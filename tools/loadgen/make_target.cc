// Which target a text names. Comes between commands and targets; main
// thread. Always holds: a text that names none is refused with those that
// there are.
#include "tools/loadgen/make_target.h"

#include <stdexcept>
#include <utility>

#include "tools/loadgen/local_target.h"

namespace vecserve::loadgen {

std::unique_ptr<Target> make_target(const Settings& settings) {
  Result<std::unique_ptr<Target>> target = make_local_target(settings.target);
  if (!target.ok()) throw std::runtime_error(target.status().to_string());
  return std::move(target).value();
}

}  // namespace vecserve::loadgen
