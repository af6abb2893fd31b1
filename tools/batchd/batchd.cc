// batchd: the batch service under open-loop load, in one program: --policy unbounded shows how a
// queue without bounds collapses, --policy bounded how vecserve's admission and batching do not.
// The load comes from loadgen's plan and sender in the same process. Main thread.
// Exit codes: 0 done, 1 failed, 2 wrong flags.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "tools/batchd/batch_service.h"
#include "tools/loadgen/run_load.h"

int main(int argc, char** argv) {
  using namespace vecserve;
  batchd::BatchServiceOptions service;
  loadgen::LoadPlan plan;
  std::string policy = "bounded", json;
  std::uint64_t batch_us = 300, request_us = 100, deadline_ms = 50;
  double times_capacity = 2.0;
  plan.schedule.duration_s = 10.0;
  CLI::App app("A batch service under open-loop load; response times count from intended starts");
  app.add_option("--policy", policy, "bounded or unbounded")
      ->check(CLI::IsMember({"bounded", "unbounded"}))
      ->capture_default_str();
  app.add_option("--batch", service.batch_max, "requests of a batch, at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--batch-us", batch_us, "processor time of a batch, microseconds")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  app.add_option("--request-us", request_us, "and of each request in it, microseconds")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--deadline-ms", deadline_ms, "of every request, milliseconds")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  app.add_option("--rate", times_capacity, "offered load, in multiples of the capacity")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  app.add_option("--seconds", plan.schedule.duration_s, "of load")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  app.add_option("--seed", plan.schedule.seed, "of the arrivals")->capture_default_str();
  app.add_option("--json", json, "- for one JSON line on standard output");
  CLI11_PARSE(app, argc, argv);
  service.policy = *batchd::parse_policy(policy);
  service.batch_cost = std::chrono::microseconds(batch_us);
  service.request_cost = std::chrono::microseconds(request_us);
  service.deadline = std::chrono::milliseconds(deadline_ms);
  plan.schedule.rate = times_capacity * service.capacity();
  plan.sender.drain_ns =
      static_cast<std::uint64_t>(plan.schedule.duration_s * 1e9 * (times_capacity + 1.0)) +
      1'000'000'000;
  batchd::BatchService target(service);
  Result<loadgen::LoadRun> run = loadgen::run_load(plan, target, {});
  if (!run.ok()) {
    std::fprintf(stderr, "batchd: %s\n", run.status().to_string().c_str());
    return 1;
  }
  run->report.title.target = "batchd-" + policy;
  if (json == "-") {
    std::cout << loadgen::to_json(run->report).dump() << std::endl;
  } else {
    std::printf("capacity %.0f/s, offered %.0f/s\n", service.capacity(), plan.schedule.rate);
    loadgen::print_report(std::cout, run->report);
  }
  return 0;
}
