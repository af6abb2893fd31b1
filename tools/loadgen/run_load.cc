// One run. Comes below commands; three threads: the sender, the noise floor, and the caller's,
// which looks on. Always holds: what is planned is planned before the sender starts, so that
// planning costs no request its time.
#include "tools/loadgen/run_load.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "tools/loadgen/noise_floor.h"

namespace vecserve::loadgen {
namespace {

constexpr auto kLiveEvery = std::chrono::milliseconds(250);

// Records of a closed loop are made before it is known how many there will be.
constexpr double kClosedRateMax = 200'000.0;

// Says once that it is over, to one who waits for that with a timeout.
class Finish {
 public:
  void tell() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    condition_.notify_all();
  }
  bool wait(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return condition_.wait_for(lock, timeout, [this] { return finished_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool finished_ = false;
};

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Result<std::vector<std::uint64_t>> plan_times(const LoadPlan& plan) {
  if (plan.closed_users == 0) return plan_arrivals(plan.schedule);
  const double count =
      std::min(static_cast<double>(kRequestsMax), plan.schedule.duration_s * kClosedRateMax);
  if (!(count >= 1.0)) return Status::invalid_argument("duration", "must be above 0");
  return std::vector<std::uint64_t>(static_cast<std::size_t>(count), 0);
}

void look_on(const LoadPlan& plan, Records& records, Finish& finish,
             const std::function<void(const LiveState&)>& live) {
  engine::Histogram interval;
  const std::uint64_t start = steady_ns();
  while (!finish.wait(kLiveEvery)) {
    if (!live) continue;
    records.live().take_interval(interval);
    LiveState state;
    state.elapsed_s = static_cast<double>(steady_ns() - start) / 1e9;
    state.duration_s = plan.schedule.duration_s;
    state.planned = records.all().size();
    state.completed = records.completed();
    state.interval = &interval;
    state.records = &records;
    live(state);
  }
}

}  // namespace

Result<LoadRun> run_load(const LoadPlan& plan, Target& target,
                         const std::function<void(const LiveState&)>& live) {
  const Result<std::vector<std::uint64_t>> times = plan_times(plan);
  if (!times.ok()) return times.status();
  const auto kinds = plan_kinds(plan.weights, times->size(), plan.schedule.seed);
  LoadRun run;
  run.records = std::make_unique<Records>(*times, kinds);
  run.start_unix_s = unix_seconds();

  std::optional<NoiseFloor> noise;
  if (plan.noise_rate > 0.0) {
    NoiseOptions options;
    options.rate = plan.noise_rate;
    noise.emplace(options);
  }
  Finish finish;
  const auto duration_ns = static_cast<std::uint64_t>(plan.schedule.duration_s * 1e9);
  std::thread sender([&] {
    run.result = plan.closed_users == 0 ? send_plan(*run.records, target, plan.sender)
                                        : send_closed_loop(*run.records, target, plan.closed_users,
                                                           duration_ns, plan.sender);
    finish.tell();
  });
  look_on(plan, *run.records, finish, live);
  sender.join();
  if (!run.result.drained) target.give_up();
  const Cut cut{static_cast<std::uint64_t>(plan.warm_up_s * 1e9),
                static_cast<std::uint64_t>(plan.cool_down_s * 1e9), duration_ns};
  run.report.summary = summarise(*run.records, run.result, cut, plan.closed_users > 0);
  if (noise) run.report.summary.noise = noise->stop();
  run.report.judgement = judge(run.report.summary);
  run.report.title.fingerprint = fingerprint(*times);
  run.report.title.seed = plan.schedule.seed;
  run.report.title.duration_s = plan.schedule.duration_s;
  run.report.title.rate = plan.closed_users > 0 ? 0.0 : plan.schedule.rate;
  run.report.title.users = plan.closed_users;
  return run;
}

}  // namespace vecserve::loadgen
