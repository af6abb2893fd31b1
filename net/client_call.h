// One call on its way: the frame that asks, and who waits for the answer. Made by the thread that
// calls, then handed to the client's thread, which alone touches it from there on.
// Always holds: `done` is called exactly once, and the frame stays until then, for another attempt.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/reply.h"
#include "net/request.h"
#include "vecserve/client.h"
#include "vecserve/status.h"

namespace vecserve::net {

class ClientLink;

struct ClientCall {
  using TimePoint = std::chrono::steady_clock::time_point;
  // A status that is not ok, or a reply that is no error.
  using Done = std::function<void(const Status& status, Reply& reply, const CallInfo& info)>;

  // Constant once it was handed over.
  RequestEnvelope envelope;
  std::string frame;
  TimePoint deadline;
  std::uint32_t attempts_max = 1;
  bool repeatable = true;  // may be sent again when it is not known whether it was done
  Done done;

  // The client's thread only.
  CallInfo info;
  ClientLink* link = nullptr;            // where it was sent; null while it waits
  std::vector<std::optional<Row>> rows;  // of a scan: the pages before the last
  TimePoint framed;                      // when the deadline in the frame was written
};

using ClientCallPtr = std::shared_ptr<ClientCall>;

}  // namespace vecserve::net
