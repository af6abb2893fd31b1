// One run from plan to judgement: arrivals and kinds planned, sent, observed, summarised, judged.
// Comes between commands and the parts; the sender and the noise floor get threads of their own,
// the caller's thread shows progress. Always holds: the target has seen the last of its requests
// end, or was told to give up, before the records are read.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/loadgen/output.h"
#include "tools/loadgen/record.h"
#include "tools/loadgen/schedule.h"
#include "tools/loadgen/sender.h"
#include "vecserve/status.h"

namespace vecserve::loadgen {

struct LoadPlan {
  ScheduleSpec schedule{};
  std::vector<std::uint32_t> weights{1};  // of the kinds of requests
  double warm_up_s = 0.0;
  double cool_down_s = 0.0;
  std::uint32_t closed_users = 0;  // 0: open loop
  SenderOptions sender{};
  double noise_rate = 1'000.0;  // 0: no noise floor
};

// What is shown while a run goes on; see live_view.h.
struct LiveState {
  double elapsed_s = 0.0;
  double duration_s = 0.0;
  std::uint64_t planned = 0;
  std::uint64_t completed = 0;
  const engine::Histogram* interval = nullptr;  // response times since the last call
  Records* records = nullptr;                   // complete ones may be read
};

struct LoadRun {
  RunReport report{};
  std::unique_ptr<Records> records{};
  SendResult result{};
  double start_unix_s = 0.0;
};

// `live` is called some times a second from the caller's thread; may be empty. On an error nothing
// was sent.
[[nodiscard]] Result<LoadRun> run_load(const LoadPlan& plan, Target& target,
                                       const std::function<void(const LiveState&)>& live);

}  // namespace vecserve::loadgen
