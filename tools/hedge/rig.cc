// Puts the replicas up, runs the plan through the hedged client, takes them down. After batchd's
// devices and host; before bench and lab. Always holds: the devices outlive the hosts, and the
// hosts the client.
#include "tools/hedge/rig.h"

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "tools/batchd/service_host.h"
#include "tools/batchd/timed_device.h"
#include "tools/hedge/hedged_target.h"

namespace vecserve::hedge {
namespace {

using batchd::ServiceHost;
using batchd::ServiceHostOptions;
using batchd::TimedDevice;
using batchd::TimedDeviceOptions;

// No replica refuses: what is compared is hedging, and refusals would cut both tails.
constexpr std::chrono::milliseconds kAdmitAll{2'000};
constexpr std::chrono::microseconds kTimeout{4'000'000};
constexpr double kScanRateMax = 2'000.0;
constexpr int kProbes = 300;  // searches that tell what a scan or the way to the next one costs

// Real scans behind stalls: a search that comes into a stall begins when that is over.
class StallingScans final : public net::Device {
 public:
  explicit StallingScans(std::vector<loadgen::Stall> stalls) : stalls_(std::move(stalls)) {}
  void begin(std::uint64_t now_ns) { begin_ns_.store(now_ns, std::memory_order_relaxed); }
  void run(net::Batch& batch) noexcept override {
    const std::uint64_t begin_ns = begin_ns_.load(std::memory_order_relaxed);
    const std::uint64_t now_ns = loadgen::steady_ns();
    for (const loadgen::Stall& stall : stalls_) {
      if (begin_ns == 0 || !stall.holds(now_ns - begin_ns)) continue;
      loadgen::wait_until(begin_ns + stall.end_ns(), 0);
    }
    scans_.run(batch);
  }

 private:
  const std::vector<loadgen::Stall> stalls_;
  std::atomic<std::uint64_t> begin_ns_{0};
  net::SearchDevice scans_{1};
};

struct Replica {
  std::unique_ptr<TimedDevice> timed;
  std::unique_ptr<StallingScans> scans;
  std::unique_ptr<ServiceHost> host;

  void begin(std::uint64_t now_ns) const {
    if (timed) timed->begin(now_ns);
    if (scans) scans->begin(now_ns);
  }
};

TimedDeviceOptions device_options(const RigOptions& options) {
  TimedDeviceOptions device;
  device.on_processor = false;
  if (options.batch_policy) {
    const batchd::BatchServiceOptions service;
    device.batch_cost = service.batch_cost;
    device.request_cost = service.request_cost;
    return device;
  }
  device.batch_cost = std::chrono::microseconds(0);
  device.request_cost = std::chrono::microseconds(options.service_us);
  device.sigma = options.service_sigma;
  device.slow_share = options.slow_share;
  device.slow_factor = options.slow_factor;
  const double whole_ns = (options.warm_up_s + options.seconds) * 1e9;
  device.all_slow = {static_cast<std::uint64_t>(0.4 * whole_ns),
                     static_cast<std::uint64_t>(0.2 * whole_ns)};
  device.all_slow_factor = options.all_slow_factor;
  return device;
}

Result<Replica> make_replica(const RigOptions& options, std::uint32_t index) {
  Replica replica;
  ServiceHostOptions host;
  host.dim = options.dim;
  host.seed = options.seed;
  if (options.batch_policy) {
    batchd::BatchServiceOptions service;
    service.policy = *options.batch_policy;
    host.serving = batchd::serving_of(service);
  } else {
    host.serving.searches.lanes = 1;
    host.serving.searches.batch_max = 1;
    host.serving.searches.target = kAdmitAll;
    host.serving.writes.lanes = host.serving.reads.lanes = 1;
  }
  const std::uint64_t seed = options.seed * 16 + index;
  std::vector<loadgen::Stall> stalls = batchd::plan_stalls(
      options.stall_every_s, options.stall_ms, options.warm_up_s + options.seconds, seed);
  if (options.real_scans) {
    host.rows = options.rows;
    replica.scans = std::make_unique<StallingScans>(std::move(stalls));
    host.device = replica.scans.get();
  } else {
    TimedDeviceOptions device = device_options(options);
    device.stalls = std::move(stalls);
    device.seed = seed;
    replica.timed = std::make_unique<TimedDevice>(std::move(device));
    host.device = replica.timed.get();
  }
  Result<std::unique_ptr<ServiceHost>> started = ServiceHost::start(host);
  if (!started.ok()) return started.status();
  replica.host = std::move(started).value();
  return replica;
}

// Mean time of the device for one real scan, asked for one after the other.
Result<double> probe_scan_us(HedgedTarget& target, const RigOptions& options) {
  const std::vector<float> vector(options.dim, 0.25F);
  double sum_us = 0.0;
  for (int i = 0; i < kProbes; ++i) {
    const std::size_t replica = static_cast<std::size_t>(i) % options.replicas;
    const Reply<SearchResult> reply = target.replica(replica).search("loadgen", Query(vector));
    if (!reply.ok()) return reply.status();
    sum_us += static_cast<double>(reply.info().server.run_ns) * 1e-3;
  }
  return sum_us / kProbes;
}

// From the first of the replies that came one after the other to the last, the device's own time
// left out, for each but the first.
double turn_of(const std::vector<Reply<SearchResult>>& replies) {
  const auto whole = replies.back().info().received - replies.front().info().received;
  double sum_us = std::chrono::duration<double, std::micro>(whole).count();
  for (std::size_t i = 1; i < replies.size(); ++i) {
    sum_us -= static_cast<double>(replies[i].info().server.scan_ns) * 1e-3;
  }
  return std::max(0.0, sum_us / static_cast<double>(replies.size() - 1));
}

std::string words_of(const RigOptions& options) {
  if (options.batch_policy) {
    return "batchd, " + std::string(batchd::to_string(*options.batch_policy)) +
           ", real servers, timed device";
  }
  return options.real_scans ? "real servers, real scans" : "real servers, timed device";
}

}  // namespace

std::vector<double> RigRun::latencies_us() const {
  std::vector<double> latencies;
  const double from_ns = (run.report.title.duration_s - run.report.summary.seconds) * 1e9;
  for (const loadgen::Record& record : run.records->all()) {
    if (record.outcome != loadgen::Outcome::ok) continue;
    if (static_cast<double>(record.intended_ns) < from_ns) continue;
    latencies.push_back(static_cast<double>(record.done_ns - record.intended_ns) * 1e-3);
  }
  return latencies;
}

double RigRun::useful_us() const {
  if (finished_us > 0.0) return finished_us - static_cast<double>(stats.wasted) * service_us;
  return static_cast<double>(stats.calls) * service_us;
}

double RigRun::wasted_us() const {
  const double answered_us = static_cast<double>(stats.wasted) * service_us;
  if (finished_us > 0.0) return stopped_us + answered_us;
  return answered_us + static_cast<double>(stats.cancelled_running) * service_us;
}

double RigRun::extra_work() const {
  return wasted_us() / std::max(1.0, useful_us());
}

std::uint64_t RigRun::losers() const {
  return stats.cancelled_queued + stats.cancelled_running + stats.wasted;
}

double RigRun::cancelled_queued_share() const {
  const std::uint64_t all = losers();
  return all == 0 ? 1.0 : static_cast<double>(stats.cancelled_queued) / static_cast<double>(all);
}

Result<double> probe_turn_us(const RigOptions& options) {
  if (options.real_scans || options.batch_policy) return 0.0;
  RigOptions calm = options;
  calm.stall_every_s = 0.0;
  Result<Replica> replica = make_replica(calm, 0);
  if (!replica.ok()) return replica.status();
  ClientOptions client_options;
  client_options.address = replica->host->address();
  client_options.timeout = kTimeout;
  client_options.throttle = false;
  Result<Client> client = Client::connect(client_options);
  if (!client.ok()) return client.status();
  const std::vector<float> vector(options.dim, 0.25F);
  const Query query(vector);
  std::vector<std::future<Reply<SearchResult>>> waiting;
  for (int i = 0; i < kProbes; ++i) {
    auto [done, reply] = promised<SearchResult>();
    client->async_search("loadgen", std::span(&query, 1), {}, {}, std::move(done));
    waiting.push_back(std::move(reply));
  }
  std::vector<Reply<SearchResult>> replies;
  for (std::future<Reply<SearchResult>>& reply : waiting) {
    replies.push_back(reply.get());
    if (!replies.back().ok()) return replies.back().status();
  }
  return turn_of(replies);
}

Result<RigRun> run_rig(const RigOptions& options) {
  std::vector<Replica> replicas;
  HedgedTargetOptions target_options;
  for (std::uint32_t i = 0; i < options.replicas; ++i) {
    Result<Replica> replica = make_replica(options, i);
    if (!replica.ok()) return replica.status();
    target_options.addresses.push_back(replica->host->address());
    replicas.push_back(std::move(replica).value());
  }
  target_options.dim = options.dim;
  target_options.timeout = kTimeout;
  target_options.hedge = options.hedge;
  target_options.hedge.hedging = options.hedging;
  target_options.hedge.seed = options.seed;
  target_options.seed = options.seed;
  auto target = HedgedTarget::connect(target_options);
  if (!target.ok()) return target.status();

  RigRun result;
  result.replicas = words_of(options);
  double capacity = 0.0;  // of one replica, calls a second
  if (options.batch_policy) {
    capacity = batchd::BatchServiceOptions{}.capacity();
    result.service_us = 1e6 / capacity;
  } else {
    Result<double> mean_us = options.real_scans ? probe_scan_us(**target, options)
                                                : Result(device_options(options).mean_us(1.0));
    if (!mean_us.ok()) return mean_us.status();
    result.service_us = *mean_us;
    capacity = 1e6 / (*mean_us + options.turn_us);
  }
  loadgen::LoadPlan plan;
  plan.schedule.rate = options.load * options.replicas * capacity;
  if (options.real_scans) plan.schedule.rate = std::min(plan.schedule.rate, kScanRateMax);
  result.load = plan.schedule.rate / (options.replicas * capacity);
  plan.schedule.duration_s = options.warm_up_s + options.seconds;
  plan.schedule.seed = options.seed;
  plan.warm_up_s = options.warm_up_s;
  plan.sender.drain_ns = 2 * static_cast<std::uint64_t>(kTimeout.count()) * 1'000;
  result.offered = plan.schedule.rate;
  for (const Replica& replica : replicas) replica.begin(loadgen::steady_ns());
  Result<loadgen::LoadRun> run = loadgen::run_load(plan, **target, {});
  if (!run.ok()) return run.status();
  result.run = std::move(run).value();
  // Closed, all losers have been heard of.
  (*target)->give_up();
  result.stats = (*target)->stats();
  for (const Replica& replica : replicas) {
    if (!replica.timed) continue;
    result.finished_us += replica.timed->finished_us();
    result.stopped_us += replica.timed->stopped_us();
  }
  return result;
}

}  // namespace vecserve::hedge
