// What the serving core itself costs, over a device that takes no time. Canonical run:
// bench_dispatch --json -. Cases: reject (a submit that is refused, the queue being full), submit
// (one that is admitted), close (taking the next batch: the batcher's decision), complete (ending
// one, without transport), and round_trip (submit to finish over a lane's thread, wake-up of that
// thread included). Columns: p50 and p99 in nanoseconds; count; works per batch; peers.
// The goals: reject at most 2 us, close at most 5 us.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/histogram.h"
#include "net/dispatch.h"
#include "net/lane.h"
#include "tools/bench/bench_report.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;
using SteadyClock = std::chrono::steady_clock;

constexpr net::GroupId kGroup = 1;
constexpr int kRejectsTimed = 16;  // together, since one is hardly longer than reading the clock

struct Settings {
  CommonFlags common;
  std::uint32_t peers = 256;
  std::uint32_t batch = 64;
  std::uint32_t rounds = 20'000;
};

class BenchWork final : public net::Work {
 public:
  using Work::Work;
  void finish(const net::Outcome&) noexcept override {
    finished.store(true, std::memory_order_release);
    finished.notify_one();
  }
  std::atomic<bool> finished{false};
};

net::WorkTerms terms() {
  net::WorkTerms terms;
  terms.group = kGroup;
  return terms;
}

std::uint64_t ns_since(SteadyClock::time_point start) {
  const auto ns = std::chrono::nanoseconds(SteadyClock::now() - start).count();
  return static_cast<std::uint64_t>(ns);
}

class Bench {
 public:
  explicit Bench(const Settings& settings) : settings_(settings), report_("dispatch", common()) {}

  void run() {
    queue_costs();
    rejects();
    round_trips();
  }

 private:
  const CommonFlags& common() const { return settings_.common; }

  net::DispatchOptions options() const {
    net::DispatchOptions options;
    options.batch_max = settings_.batch;
    options.lanes = 1;
    options.target = std::chrono::seconds(100);
    return options;
  }

  void add(const std::string& name, const engine::Histogram& times, std::uint32_t works) {
    report_.add({{"case", name},
                 {"p50_ns", times.value_at(0.5)},
                 {"p99_ns", times.value_at(0.99)},
                 {"count", times.total()},
                 {"works", works},
                 {"peers", settings_.peers}});
  }

  std::vector<std::shared_ptr<net::Peer>> join(net::Dispatch& dispatch) const {
    std::vector<std::shared_ptr<net::Peer>> peers;
    for (std::uint32_t i = 0; i < settings_.peers; ++i) peers.push_back(dispatch.join());
    return peers;
  }

  // Twice as many works wait as a batch takes.
  void queue_costs() {
    const engine::SystemClock clock;
    net::Dispatch dispatch(options(), clock);
    const auto peers = join(dispatch);
    engine::Histogram submit;
    engine::Histogram close;
    engine::Histogram complete;
    net::Batch batch;
    std::size_t next_peer = 0;
    for (std::uint32_t round = 0; round < settings_.rounds; ++round) {
      while (dispatch.stats().queued[0] < 2 * settings_.batch) {
        auto work = std::make_shared<BenchWork>(peers[next_peer++ % peers.size()], terms());
        const auto start = SteadyClock::now();
        const auto refusal = dispatch.submit(std::move(work));
        submit.record(ns_since(start));
        require(!refusal.has_value(), "a work was refused");
      }
      auto start = SteadyClock::now();
      const bool closed = dispatch.close(batch);
      close.record(ns_since(start));
      require(closed && batch.weight >= 1, "no batch was closed");
      const auto works = static_cast<std::uint32_t>(batch.works.size());
      start = SteadyClock::now();
      dispatch.complete(batch);
      complete.record(ns_since(start));
      works_seen_ = works;
    }
    add("submit", submit, 1);
    add("close", close, works_seen_);
    add("complete", complete, works_seen_);
    dispatch.stop();
  }

  void rejects() {
    const engine::SystemClock clock;
    net::DispatchOptions tight = options();
    tight.target = std::chrono::microseconds(1);
    net::Dispatch dispatch(tight, clock);
    const auto peers = join(dispatch);
    net::Batch batch;
    require(!dispatch.submit(std::make_shared<BenchWork>(peers[0], terms())).has_value(), "idle");
    require(dispatch.close(batch), "no batch was closed");
    engine::Histogram reject;
    std::vector<std::shared_ptr<BenchWork>> works;
    for (const auto& peer : peers) works.push_back(std::make_shared<BenchWork>(peer, terms()));
    for (std::uint32_t round = 0; round < settings_.rounds; ++round) {
      bool refused = true;
      const auto start = SteadyClock::now();
      for (int i = 0; i < kRejectsTimed; ++i) {
        const std::size_t at = (round * kRejectsTimed + static_cast<std::size_t>(i)) % works.size();
        refused = dispatch.submit(works[at]).has_value() && refused;
      }
      reject.record(ns_since(start) / kRejectsTimed);
      require(refused, "a work was admitted");
    }
    add("reject", reject, 1);
    dispatch.complete(batch);
  }

  class IdleDevice final : public net::Device {
   public:
    void run(net::Batch&) noexcept override {}
  };

  void round_trips() {
    const engine::SystemClock clock;
    net::Dispatch dispatch(options(), clock);
    IdleDevice device;
    net::Lanes lanes(dispatch, device, 1);
    require(lanes.start().ok(), "no thread");
    const auto peer = dispatch.join();
    engine::Histogram trip;
    for (std::uint32_t round = 0; round < settings_.rounds; ++round) {
      const auto work = std::make_shared<BenchWork>(peer, terms());
      const auto start = SteadyClock::now();
      require(!dispatch.submit(work).has_value(), "a work was refused");
      work->finished.wait(false);
      trip.record(ns_since(start));
    }
    add("round_trip", trip, 1);
  }

  const Settings& settings_;
  Report report_;
  std::uint32_t works_seen_ = 0;
};

void body(int argc, char** argv) {
  CLI::App app("What the serving core costs");
  Settings settings;
  add_common_flags(app, settings.common);
  app.add_option("--peers", settings.peers, "connections (256)")->check(CLI::Range(1, 100'000));
  app.add_option("--batch", settings.batch, "the largest batch (64)")->check(CLI::Range(1, 65'536));
  app.add_option("--rounds", settings.rounds, "batches per case (20000)");
  parse_flags(app, argc, argv);
  if (settings.common.smoke) settings.rounds = 200;
  Bench(settings).run();
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_dispatch", body, argc, argv);
}
