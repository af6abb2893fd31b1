// See request_log.h.
// Runs on the committing thread. Always holds: order_ and outcomes_ have the same ids.
// Comes between commit_group and what it remembers of earlier groups.
#include "engine/request_log.h"

#include "engine/base/limits.h"

namespace vecserve::engine {

std::optional<RequestOutcome> RequestLog::find(const RequestId& id) const {
  const auto found = outcomes_.find(id);
  if (id.empty() || found == outcomes_.end()) {
    return std::nullopt;
  }
  return found->second;
}

void RequestLog::add(const RequestId& id, const RequestOutcome& outcome) {
  if (!outcomes_.emplace(id, outcome).second) {
    return;
  }
  try {
    order_.push_back(id);
  } catch (...) {
    outcomes_.erase(id);
    throw;
  }
}

void RequestLog::remove(const RequestId& id) {
  if (outcomes_.erase(id) == 0) {
    return;
  }
  // From the back: what is taken out came in last.
  auto at = order_.end();
  do {
    --at;
  } while (!(*at == id));
  order_.erase(at);
}

void RequestLog::trim() {
  while (order_.size() > limits::request_ids_max) {
    outcomes_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace vecserve::engine
