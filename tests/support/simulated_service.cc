// See simulated_service.h.
// One thread. Always holds: a batch that the device began ends at a time fixed when it began; works
// tell their fate once, through finish(), and how often that was is counted.
#include "tests/support/simulated_service.h"

#include <algorithm>
#include <utility>

namespace vecserve::test {

namespace {

class SimulatedWork final : public net::Work {
 public:
  SimulatedWork(std::shared_ptr<net::Peer> peer, const net::WorkTerms& terms,
                const SimulatedService& service, SimulatedService::Then then)
      : Work(std::move(peer), terms),
        service_(service),
        submitted_(service.now()),
        then_(std::move(then)) {}

  void finish(const net::Outcome& outcome) noexcept override {
    served_.finishes += 1;
    served_.code = outcome.status.code();
    served_.finished = service_.now();
    served_.latency = served_.finished - submitted_;
    served_.outcome = outcome;
    if (then_) then_(served_);
  }

 private:
  const SimulatedService& service_;
  const net::TimePoint submitted_;
  const SimulatedService::Then then_;
  Served served_;
};

}  // namespace

SimulatedService::SimulatedService(const net::DispatchOptions& options,
                                   const SimulatedDevice& device, std::uint64_t seed)
    : device_(device), dice_(seed), dispatch_(std::make_unique<net::Dispatch>(options, clock_)) {
  for (std::uint32_t i = 0; i < options.lanes; ++i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->batch.lane = i;
  }
}

SimulatedService::~SimulatedService() = default;

std::shared_ptr<net::Work> SimulatedService::submit(const std::shared_ptr<net::Peer>& peer,
                                                    const net::WorkTerms& terms, Then then) {
  auto work = std::make_shared<SimulatedWork>(peer, terms, *this, std::move(then));
  refusal_ = dispatch_->submit(work);
  if (refusal_.has_value()) return nullptr;
  feed_lanes();
  return work;
}

void SimulatedService::feed_lanes() {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane->busy) continue;
    if (!dispatch_->close(lane->batch)) return;
    begin(*lane);
  }
}

void SimulatedService::begin(Lane& lane) {
  net::Batch& batch = lane.batch;
  if (on_batch) on_batch(batch);
  double ns = static_cast<double>(device_.fixed.count()) +
              static_cast<double>(device_.per_weight.count()) * batch.weight;
  const double unit = static_cast<double>(dice_.below(1'000'001)) / 1e6;  // 0 to 1
  ns *= 1.0 + device_.spread * (2.0 * unit - 1.0);
  batch.started = device_.serial ? std::max(now(), device_free_) : now();
  lane.busy = true;
  lane.done = batch.started + net::Duration(static_cast<net::Duration::rep>(ns));
  device_free_ = lane.done;
}

SimulatedService::Lane* SimulatedService::next_done() {
  Lane* next = nullptr;
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane->busy && (next == nullptr || lane->done < next->done)) next = lane.get();
  }
  return next;
}

void SimulatedService::run_until(net::TimePoint until) {
  for (;;) {
    Lane* const lane = next_done();
    if (lane == nullptr || lane->done > until) break;
    if (lane->done > now()) clock_.advance(lane->done - now());
    dispatch_->complete(lane->batch);
    lane->busy = false;
    feed_lanes();
  }
  if (until > now()) clock_.advance(until - now());
}

void SimulatedService::run_dry() {
  while (const Lane* lane = next_done()) run_until(lane->done);
}

net::WorkTerms terms_of(net::GroupId group, Priority priority) {
  net::WorkTerms terms;
  terms.group = group;
  terms.priority = priority;
  return terms;
}

void flood(SimulatedService& service, const std::shared_ptr<net::Peer>& peer,
           const net::WorkTerms& terms, int count, std::vector<Served>& done) {
  for (int i = 0; i < count; ++i) {
    static_cast<void>(
        service.submit(peer, terms, [&](const Served& served) { done.push_back(served); }));
  }
}

void learn(SimulatedService& service, const net::WorkTerms& terms) {
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  for (int i = 0; i < 200; ++i) {
    flood(service, peer, terms, 80, done);
    service.run_for(std::chrono::microseconds(300));
  }
  service.run_dry();
}

}  // namespace vecserve::test
