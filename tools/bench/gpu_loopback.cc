// See gpu_loopback.h.
// The server is a process of its own on half of the cores. Always holds: rows are durable and,
// where the machine has a device, mirrored before anything is timed; the line says who answered.
#include "tools/bench/gpu_loopback.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tools/bench/daemon_load.h"
#include "tools/loadgen/free_port.h"
#include "vecserve/client.h"

namespace vecserve::bench {

namespace {

constexpr std::uint32_t kUsers = 64;
constexpr std::uint32_t kConnections = 16;
constexpr int kLooks = 600;  // at who answers, a tenth of a second apart
constexpr int kSteady = 10;  // looks that say the same: nothing is brought over any more

// Who answers one search, once that has not changed for a while.
std::string settled_backend(const loadgen::ClientTargetOptions& options) {
  ClientOptions client_options;
  client_options.address = options.address;
  Result<Client> client = Client::connect(client_options);
  require(client.ok(), client.status().to_string());
  const std::vector<float> vector = random_floats(options.dim, options.seed + 1);
  const Query query(vector);
  SearchOptions search;
  search.k = options.k;
  std::string backend;
  int same = 0;
  for (int look = 0; look < kLooks && same < kSteady; ++look) {
    const auto reply = client->search(options.collection, std::span(&query, 1), search);
    require(reply.ok(), reply.status().to_string());
    same = reply.info().server.backend == backend ? same + 1 : 0;
    backend = reply.info().server.backend;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return backend;
}

}  // namespace

void bench_loopback(const LoopbackRequest& request, Report& report) {
  const std::string program = program_beside("vecserve");
  require(!program.empty(), "there is no program vecserve beside this one; build it first");
  const BenchFolder folder(request.common);
  const CoreHalves cores = halve_cores();
  loadgen::ClientTargetOptions client;
  const std::uint16_t port = loadgen::free_port();
  require(port != 0, "no free port");
  client.address = "127.0.0.1:" + std::to_string(port);
  client.connections = kConnections;
  client.rows = request.rows;
  client.dim = request.dim;
  client.seed = request.common.seed;
  ServiceProcess service(program,
                         {"--data", folder.at("data"), "--listen", client.address, "--http", "none",
                          "--log-level", "warn"},
                         cores.server, folder.at("errors"));
  use_cores(cores.load);
  const auto target = reach(client, service);
  progress("loopback: writing " + std::to_string(request.rows) + " rows");
  const Status prepared = target->prepare([](std::uint64_t) {});
  require(prepared.ok(), prepared.to_string());
  const std::string backend = settled_backend(client);
  const double capacity = capacity_of(*target, kUsers, request.common.smoke);
  progress("loopback: " + backend + ", capacity " + std::to_string(capacity) + " a second");
  loadgen::LoadPlan plan;
  plan.schedule.rate = capacity / 2;
  plan.schedule.duration_s = request.seconds;
  plan.schedule.seed = request.common.seed;
  plan.warm_up_s = request.seconds / 5;
  const loadgen::LoadRun run = run_or_fail(plan, *target, {});
  require(service.running(), "the server ended; see " + service.error_file());
  std::vector<int> all = cores.server;
  all.insert(all.end(), cores.load.begin(), cores.load.end());
  use_cores(all);  // for what comes after
  const loadgen::Summary& summary = run.report.summary;
  report.add({{"case", "loopback"},
              {"backend", backend},
              {"rows", request.rows},
              {"dim", request.dim},
              {"capacity_qps", capacity},
              {"offered_qps", summary.offered},
              {"goodput_qps", summary.goodput},
              {"p50_us", static_cast<double>(summary.response.value_at(0.5)) * 1e-3},
              {"p999_us", static_cast<double>(summary.response.value_at(0.999)) * 1e-3}});
}

}  // namespace vecserve::bench
