// batchd: a batch service in two forms, in one program: --policy unbounded shows how a queue
// without bounds collapses, --policy bounded how vecserve's admission and batching do not. With
// --listen it is a server that speaks vecserve's protocol, for loadgen and the hedged client;
// without, the load comes from loadgen's plan and sender in the same process. Main thread. Exit
// codes: 0 done, 1 failed, 2 wrong flags.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "tools/batchd/batch_service.h"
#include "tools/batchd/service_host.h"
#include "tools/batchd/timed_device.h"
#include "tools/loadgen/run_load.h"

namespace {

using namespace vecserve;

struct Flags {
  batchd::BatchServiceOptions service;
  loadgen::LoadPlan plan;
  batchd::ServiceHostOptions host;
  std::string policy = "bounded", json, operation = "cpu";
  std::uint64_t batch_us = 300, request_us = 100, deadline_ms = 50;
  double times_capacity = 2.0;
};

void add_flags(CLI::App& app, Flags& flags) {
  flags.plan.schedule.duration_s = 10.0;
  flags.host.listen.clear();
  app.add_option("--policy", flags.policy, "bounded or unbounded")
      ->check(CLI::IsMember({"bounded", "unbounded"}))
      ->capture_default_str();
  app.add_option("--batch", flags.service.batch_max, "requests of a batch, at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--batch-us", flags.batch_us, "time of a batch, microseconds")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  app.add_option("--request-us", flags.request_us, "and of each request in it, microseconds")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--listen", flags.host.listen,
                 "HOST:PORT or unix:/PATH: serve there until a signal comes");
  app.add_option("--operation", flags.operation,
                 "with --listen: cpu keeps a processor busy, timed only takes the time, as a "
                 "device elsewhere would")
      ->check(CLI::IsMember({"cpu", "timed"}))
      ->capture_default_str();
  app.add_option("--collection", flags.host.collection, "with --listen: what can be searched")
      ->capture_default_str();
  app.add_option("--dim", flags.host.dim, "with --listen: of its vectors")->capture_default_str();
  app.add_option("--deadline-ms", flags.deadline_ms, "of every request, milliseconds")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  app.add_option("--rate", flags.times_capacity, "offered load, in multiples of the capacity")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  app.add_option("--seconds", flags.plan.schedule.duration_s, "of load")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  app.add_option("--seed", flags.plan.schedule.seed, "of the arrivals")->capture_default_str();
  app.add_option("--json", flags.json, "- for one JSON line on standard output");
}

int fail(const Status& status) {
  std::fprintf(stderr, "batchd: %s\n", status.to_string().c_str());
  return 1;
}

// Until SIGINT or SIGTERM, which no other thread gets: they are blocked before any is started.
int serve(Flags& flags) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  batchd::TimedDeviceOptions operation;
  operation.batch_cost = flags.service.batch_cost;
  operation.request_cost = flags.service.request_cost;
  operation.on_processor = flags.operation == "cpu";
  batchd::TimedDevice device(operation);
  flags.host.serving = batchd::serving_of(flags.service);
  flags.host.device = &device;
  const auto host = batchd::ServiceHost::start(flags.host);
  if (!host.ok()) return fail(host.status());
  std::printf("listening on %s, %s, capacity %.0f/s\n", (*host)->address().c_str(),
              flags.policy.c_str(), flags.service.capacity());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}

int demonstrate(Flags& flags) {
  loadgen::LoadPlan& plan = flags.plan;
  plan.schedule.rate = flags.times_capacity * flags.service.capacity();
  plan.sender.drain_ns =
      static_cast<std::uint64_t>(plan.schedule.duration_s * 1e9 * (flags.times_capacity + 1.0)) +
      1'000'000'000;
  batchd::BatchService target(flags.service);
  Result<loadgen::LoadRun> run = loadgen::run_load(plan, target, {});
  if (!run.ok()) return fail(run.status());
  run->report.title.target = "batchd-" + flags.policy;
  if (flags.json == "-") {
    std::cout << loadgen::to_json(run->report).dump() << std::endl;
  } else {
    std::printf("capacity %.0f/s, offered %.0f/s\n", flags.service.capacity(), plan.schedule.rate);
    loadgen::print_report(std::cout, run->report);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("A batch service under open-loop load; response times count from intended starts");
  add_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  flags.service.policy = *batchd::parse_policy(flags.policy);
  flags.service.batch_cost = std::chrono::microseconds(flags.batch_us);
  flags.service.request_cost = std::chrono::microseconds(flags.request_us);
  flags.service.deadline = std::chrono::milliseconds(flags.deadline_ms);
  return flags.host.listen.empty() ? demonstrate(flags) : serve(flags);
}
