// The three dispatches together, over real threads: none starves another, draining takes nothing
// new and stopping answers everything. Comes after lane_test and device_test. Real threads, no
// sleeping. Always holds: after stop() nothing is in flight anywhere.
#include "net/serving.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/base/clock.h"

namespace vecserve::net {
namespace {

// A call that waits to be let go.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

class GatedCall final : public CallWork {
 public:
  GatedCall(std::shared_ptr<Peer> peer, Gate* gate, std::atomic<int>& done)
      : CallWork(std::move(peer), {}), gate_(gate), done_(done) {}
  Status call(const std::shared_ptr<const CancelToken>&) override {
    if (gate_ != nullptr) gate_->wait();
    return {};
  }
  void finish(const Outcome& outcome) noexcept override {
    code = outcome.status.code();
    done_.fetch_add(1);
    done_.notify_all();
  }
  std::atomic<StatusCode> code{StatusCode::internal};

 private:
  Gate* gate_;
  std::atomic<int>& done_;
};

TEST_CASE("serving: writes that hang keep neither reads nor other things waiting") {
  const engine::SystemClock clock;
  Serving serving({}, clock);
  REQUIRE(serving.start().ok());
  const PeerSet peers = serving.join();
  Gate gate;
  std::atomic<int> writes{0};
  std::atomic<int> reads{0};
  for (int i = 0; i < 30; ++i) {
    CHECK_FALSE(serving.writes()
                    .submit(std::make_shared<GatedCall>(peers.writes, &gate, writes))
                    .has_value());
  }
  CHECK_FALSE(
      serving.reads().submit(std::make_shared<GatedCall>(peers.reads, nullptr, reads)).has_value());
  reads.wait(0);
  CHECK(reads == 1);
  CHECK(writes == 0);
  serving.drain();
  CHECK(serving.reads().submit(std::make_shared<GatedCall>(peers.reads, nullptr, reads))->reason ==
        RefusalReason::draining);
  CHECK_FALSE(serving.wait_idle(Deadline{}));
  gate.open();
  CHECK(serving.wait_idle(kNoDeadline));
  CHECK(writes == 30);
}

TEST_CASE("serving: a connection that goes away takes its works along") {
  const engine::SystemClock clock;
  Serving serving({}, clock);
  REQUIRE(serving.start().ok());
  const PeerSet gone = serving.join();
  Gate gate;
  std::atomic<int> done{0};
  const int lanes = static_cast<int>(ServingOptions::write_defaults().lanes);
  for (int i = 0; i < lanes + 5; ++i) {
    CHECK_FALSE(
        serving.writes().submit(std::make_shared<GatedCall>(gone.writes, &gate, done)).has_value());
  }
  while (serving.writes().stats().lanes_busy != static_cast<std::uint32_t>(lanes)) {
  }
  serving.cancel_all(gone);
  CHECK(done == 5);
  gate.open();
  CHECK(serving.wait_idle(kNoDeadline));
  CHECK(done == lanes + 5);
}

TEST_CASE("serving: stopping answers everything") {
  const engine::SystemClock clock;
  std::atomic<int> done{0};
  {
    Serving serving({}, clock);
    const PeerSet peers = serving.join();  // never started: nothing runs
    for (int i = 0; i < 5; ++i) {
      CHECK_FALSE(serving.reads()
                      .submit(std::make_shared<GatedCall>(peers.reads, nullptr, done))
                      .has_value());
    }
  }
  CHECK(done == 5);
}

TEST_CASE("serving options: what is wrong in any of the three is named") {
  CHECK(ServingOptions{}.validate().ok());
  ServingOptions options;
  options.reads.lanes = 0;
  CHECK(options.validate().field() == "lanes");
}

}  // namespace
}  // namespace vecserve::net
