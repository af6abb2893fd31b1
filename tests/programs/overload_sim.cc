// Overload, simulated: Poisson arrivals at a multiple of what the device can serve, through the
// real serving core, over a simulated device and clock. For each load: half a second at half
// capacity, the overload, and half capacity again. Canonical run: overload_sim --json -. One
// thread; the same seed gives the same lines. Exits with 1 if a line breaks its limits: goodput at
// least 95 % of capacity, p99 of the accepted within the limit, recovery within 100 ms.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/programs/support/harness_output.h"
#include "tests/support/dice.h"
#include "tests/support/simulated_service.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;

constexpr double kGoodputMin = 0.95;
constexpr double kRecoveryMsMax = 100.0;
constexpr net::Duration kWindow = std::chrono::milliseconds(10);
constexpr net::Duration kQuiet = std::chrono::milliseconds(500);  // before and after the overload
constexpr double kQuietLoad = 0.5;
// A window counts as recovered when its p99 is within this of the worst window before the overload.
constexpr double kRecovered = 1.25;

struct Settings {
  std::vector<double> loads = {1.5, 3.0, 10.0};
  double seconds = 2.0;
  std::uint64_t seed = 1;
  std::uint32_t batch = 64;
  std::uint32_t lanes = 2;
  std::uint32_t connections = 64;
  std::uint32_t deadline_us = 10'000;
  double fixed_us = 300.0;
  double each_us = 5.0;
  double spread = 0.2;
  bool parallel = false;
  std::string json;
};

// One answered request.
struct Answer {
  net::Duration arrived;  // since the start of the run
  net::Duration latency;
};

double quantile_us(std::vector<net::Duration> values, double quantile) {
  if (values.empty()) return 0.0;
  const auto rank = static_cast<std::size_t>(quantile * static_cast<double>(values.size()));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::min(rank, values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(at->count()) / 1e3;
}

class Overload {
 public:
  Overload(const Settings& settings, double load)
      : settings_(settings),
        load_(load),
        dice_(settings.seed, static_cast<std::uint64_t>(load * 1'000)),
        service_(dispatch_options(settings), device_of(settings), settings.seed),
        start_(service_.now()) {
    for (std::uint32_t i = 0; i < settings.connections; ++i) {
      peers_.push_back(service_.dispatch().join());
    }
    const double batch_us = settings.fixed_us + settings.each_us * settings.batch;
    capacity_ = settings.batch / (batch_us / 1e6) * (settings.parallel ? settings.lanes : 1);
    slow_us_ = batch_us * (1.0 + 0.98 * settings.spread);  // 99 of 100, of an even spread
  }

  nlohmann::ordered_json run() {
    const net::Duration length(static_cast<net::Duration::rep>(settings_.seconds * 1e9));
    const net::Duration begin = kQuiet;
    const net::Duration end = begin + length;
    drive(kQuietLoad, begin);
    drive(load_, end);
    const net::DispatchStats stats = service_.dispatch().stats();
    drive(kQuietLoad, end + kQuiet);
    service_.run_dry();
    std::vector<net::Duration> accepted;
    std::uint64_t good = 0;
    for (const Answer& answer : answers_) {
      if (answer.arrived < begin || answer.arrived >= end) continue;
      accepted.push_back(answer.latency);
      if (answer.latency <= std::chrono::microseconds(settings_.deadline_us)) ++good;
    }
    const net::DispatchOptions options = dispatch_options(settings_);
    const double target_us = std::max(options.target_batches * slow_us_,
                                      static_cast<double>(options.target_min.count()) / 1e3);
    return {{"program", "overload_sim"},
            {"load", load_},
            {"goodput_share", static_cast<double>(good) / (capacity_ * settings_.seconds)},
            {"p99_us", quantile_us(accepted, 0.99)},
            {"limit_us", target_us + 2.0 * slow_us_},
            {"recovery_ms", recovery_ms(begin, end)},
            {"p50_us", quantile_us(accepted, 0.5)},
            {"target_us", target_us},
            {"target_measured_us", static_cast<double>(stats.target.count()) / 1e3},
            {"accepted", accepted.size()},
            {"refused", refused_},
            {"shed", stats.shed},
            {"expired", stats.expired},
            {"late", accepted.size() - good},
            {"mean_batch", static_cast<double>(stats.batch_weight) /
                               static_cast<double>(std::max<std::uint64_t>(stats.batches, 1))},
            {"capacity_per_s", capacity_},
            {"seconds", settings_.seconds},
            {"seed", settings_.seed}};
  }

 private:
  static net::DispatchOptions dispatch_options(const Settings& settings) {
    net::DispatchOptions options;
    options.batch_max = settings.batch;
    options.lanes = settings.lanes;
    return options;
  }
  static SimulatedDevice device_of(const Settings& settings) {
    SimulatedDevice device;
    device.fixed = net::Duration(static_cast<net::Duration::rep>(settings.fixed_us * 1e3));
    device.per_weight = net::Duration(static_cast<net::Duration::rep>(settings.each_us * 1e3));
    device.spread = settings.spread;
    device.serial = !settings.parallel;
    return device;
  }

  // Poisson arrivals at `load` times capacity until `until`, spread over the connections.
  void drive(double load, net::Duration until) {
    const double rate = capacity_ * load;
    for (;;) {
      const double unit = (static_cast<double>(dice_.below(1'000'000'000)) + 0.5) / 1e9;
      next_ += net::Duration(static_cast<net::Duration::rep>(-std::log(unit) / rate * 1e9));
      if (next_ >= until) break;
      service_.run_until(start_ + next_);
      arrive();
    }
    next_ = until;  // gaps have no memory: a new one may begin here
    service_.run_until(start_ + until);
  }

  void arrive() {
    net::WorkTerms terms;
    terms.group = 1;
    terms.deadline = service_.now() + std::chrono::microseconds(settings_.deadline_us);
    const net::Duration arrived = service_.now() - start_;
    const auto work = service_.submit(peers_[dice_.below(peers_.size())], terms,
                                      [this, arrived](const Served& served) {
                                        if (served.code != StatusCode::ok) return;
                                        answers_.push_back({arrived, served.latency});
                                      });
    if (work == nullptr) ++refused_;
  }

  [[nodiscard]] double window_us(net::Duration from) const {
    std::vector<net::Duration> inside;
    for (const Answer& answer : answers_) {
      if (answer.arrived >= from && answer.arrived < from + kWindow) {
        inside.push_back(answer.latency);
      }
    }
    return quantile_us(std::move(inside), 0.99);
  }

  // From the end of the overload to the end of the last window that is worse than it was before.
  [[nodiscard]] double recovery_ms(net::Duration begin, net::Duration end) const {
    double usual = 0.0;
    for (net::Duration at = begin / 5; at + kWindow <= begin; at += kWindow) {
      usual = std::max(usual, window_us(at));
    }
    double recovery = 0.0;
    for (net::Duration at = end; at + kWindow <= end + kQuiet; at += kWindow) {
      if (window_us(at) <= kRecovered * usual) continue;
      recovery = static_cast<double>((at + kWindow - end).count()) / 1e6;
    }
    return recovery;
  }

  const Settings& settings_;
  const double load_;
  Dice dice_;
  SimulatedService service_;
  const net::TimePoint start_;
  std::vector<std::shared_ptr<net::Peer>> peers_;
  double capacity_ = 0.0;
  double slow_us_ = 0.0;
  net::Duration next_{0};
  std::vector<Answer> answers_;
  std::uint64_t refused_ = 0;
};

bool within_limits(const nlohmann::ordered_json& line) {
  // Below capacity all that is offered is to be served.
  const double wanted = kGoodputMin * std::min(1.0, line["load"].get<double>());
  return line["goodput_share"].get<double>() >= wanted &&
         line["p99_us"].get<double>() <= line["limit_us"].get<double>() &&
         line["recovery_ms"].get<double>() <= kRecoveryMsMax;
}

void add_options(CLI::App& app, Settings& settings) {
  app.add_option("--load", settings.loads, "multiples of capacity (1.5 3 10)");
  app.add_option("--seconds", settings.seconds, "of each overload, simulated (2)")
      ->check(CLI::Range(0.01, 3'600.0));
  app.add_option("--seed", settings.seed, "of arrivals and device (1)");
  app.add_option("--batch", settings.batch, "the largest batch (64)")->check(CLI::Range(1, 65'536));
  app.add_option("--lanes", settings.lanes, "batches in flight (2)")->check(CLI::Range(1, 64));
  app.add_option("--connections", settings.connections, "that share the load (64)")
      ->check(CLI::Range(1, 65'536));
  app.add_option("--deadline-us", settings.deadline_us, "of every request (10000)");
  app.add_option("--fixed-us", settings.fixed_us, "time of a batch beside its works (300)");
  app.add_option("--each-us", settings.each_us, "time of each work in a batch (5)");
  app.add_option("--spread", settings.spread, "of batch times, as a share to both sides (0.2)")
      ->check(CLI::Range(0.0, 0.9));
  app.add_flag("--parallel", settings.parallel, "lanes compute side by side, not in turn");
  app.add_option("--json", settings.json, "one line per load: a file, or - for standard output");
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Overload of the serving core, over a simulated device and clock");
  add_options(app, settings);
  CLI11_PARSE(app, argc, argv);
  bool good = true;
  std::uint64_t done = 0;
  std::uint64_t bad = 0;
  for (const double load : settings.loads) {
    const nlohmann::ordered_json line = Overload(settings, load).run();
    if (!within_limits(line)) ++bad;
    good = bad == 0;
    show_progress("overload_sim", ++done, settings.loads.size(), bad);
    print_report(line, settings.json);
  }
  return good ? 0 : 1;
}
