// The most recent request ids and what came of them, so that a write that is sent again is applied
// once. Mirrors what the store keeps. Consulted when a group is staged, filled when it is
// published. The committing thread only (and the load, before there is one). Always holds: at most
// limits::request_ids_max entries after trim(); the oldest go first.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

#include "engine/store/store.h"
#include "vecserve/options.h"

namespace vecserve::engine {

class RequestLog {
 public:
  [[nodiscard]] std::optional<RequestOutcome> find(const RequestId& id) const;
  // May throw std::bad_alloc and then has changed nothing.
  void add(const RequestId& id, const RequestOutcome& outcome);
  // Takes the newest additions back; what was not added is passed over.
  void remove(const RequestId& id);
  // Forgets the oldest beyond the limit. Kept apart from add(), so that a group that fails after
  // adding has forgotten nothing.
  void trim();
  [[nodiscard]] std::size_t size() const { return outcomes_.size(); }

 private:
  struct Hash {
    std::size_t operator()(const RequestId& id) const {
      return static_cast<std::size_t>((id.client ^ (id.sequence << 1)) * 0x9e3779b97f4a7c15ull >>
                                      7);
    }
  };
  std::unordered_map<RequestId, RequestOutcome, Hash> outcomes_;
  std::deque<RequestId> order_;
};

}  // namespace vecserve::engine
