// Lanes as threads over a device that counts: every work is served once, whichever lane took it,
// and ending waits for all of them. Comes after dispatch_test. Real threads, no sleeping: the tests
// wait for what they want to see. Always holds: no count is left when the lanes are gone.
#include "net/lane.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/clock.h"

namespace vecserve::net {
namespace {

class CountingDevice final : public Device {
 public:
  void run(Batch& batch) noexcept override {
    served.fetch_add(static_cast<int>(batch.works.size()));
    lanes_seen.fetch_or(1U << batch.lane);
  }
  std::atomic<int> served{0};
  std::atomic<unsigned> lanes_seen{0};
};

// Holds each batch until it is stopped.
class StuckDevice final : public Device {
 public:
  void run(Batch& batch) noexcept override {
    began.count_down();
    while (!batch.stop->cancelled()) std::this_thread::yield();
    for (Status& status : batch.statuses) status = Status(StatusCode::cancelled, "stopped");
  }
  std::latch began{1};
};

class CountedWork final : public Work {
 public:
  CountedWork(std::shared_ptr<Peer> peer, const WorkTerms& terms, std::atomic<int>& ok,
              std::atomic<int>& unavailable)
      : Work(std::move(peer), terms), ok_(ok), unavailable_(unavailable) {}
  void finish(const Outcome& outcome) noexcept override {
    if (outcome.status.ok()) ok_.fetch_add(1);
    if (outcome.status.code() == StatusCode::unavailable) unavailable_.fetch_add(1);
  }

 private:
  std::atomic<int>& ok_;
  std::atomic<int>& unavailable_;
};

DispatchOptions patient_options() {
  DispatchOptions options;
  options.target = std::chrono::seconds(1'000);
  return options;
}

TEST_CASE("lanes: every work is served once while several threads submit") {
  const engine::SystemClock clock;
  Dispatch dispatch(patient_options(), clock);
  CountingDevice device;
  std::atomic<int> ok{0};
  std::atomic<int> unavailable{0};
  Lanes lanes(dispatch, device, 2);
  REQUIRE(lanes.start().ok());
  std::vector<std::thread> clients;
  std::atomic<int> admitted{0};
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      const auto peer = dispatch.join();
      for (int i = 0; i < 2'000; ++i) {
        WorkTerms terms;
        terms.group = 1 + static_cast<GroupId>(i) % 3;
        auto work = std::make_shared<CountedWork>(peer, terms, ok, unavailable);
        if (!dispatch.submit(work).has_value()) admitted.fetch_add(1);
        if (i % 50 == 0) static_cast<void>(dispatch.load(*peer));
        if (i % 50 == 0) static_cast<void>(dispatch.stats());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  dispatch.drain();
  CHECK(dispatch.wait_idle(kNoDeadline));
  CHECK(ok == admitted);
  CHECK(device.served == admitted);
  CHECK(admitted == 8'000);
  CHECK(dispatch.stats().in_flight == 0);
}

TEST_CASE("lanes: cancels that race with serving leave nothing behind") {
  const engine::SystemClock clock;
  Dispatch dispatch(patient_options(), clock);
  CountingDevice device;
  std::atomic<int> ok{0};
  std::atomic<int> unavailable{0};
  Lanes lanes(dispatch, device, 2);
  REQUIRE(lanes.start().ok());
  std::vector<std::thread> clients;
  for (int c = 0; c < 3; ++c) {
    clients.emplace_back([&] {
      const auto peer = dispatch.join();
      for (int i = 0; i < 2'000; ++i) {
        WorkTerms terms;
        terms.group = 1;
        auto work = std::make_shared<CountedWork>(peer, terms, ok, unavailable);
        static_cast<void>(dispatch.submit(work));
        if (i % 3 == 0) static_cast<void>(dispatch.cancel(*work));
        if (i % 100 == 0) dispatch.cancel_all(*peer);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(dispatch.wait_idle(kNoDeadline));
  const DispatchStats stats = dispatch.stats();
  CHECK(stats.in_flight == 0);
  CHECK(stats.completed + stats.cancelled == stats.admitted);
}

TEST_CASE("lanes: ending them stops what runs and answers what waits") {
  const engine::SystemClock clock;
  Dispatch dispatch(patient_options(), clock);
  StuckDevice device;
  std::atomic<int> ok{0};
  std::atomic<int> unavailable{0};
  {
    Lanes lanes(dispatch, device, 1);
    REQUIRE(lanes.start().ok());
    const auto peer = dispatch.join();
    for (int i = 0; i < 5; ++i) {
      WorkTerms terms;
      terms.group = kAlone;
      CHECK_FALSE(
          dispatch.submit(std::make_shared<CountedWork>(peer, terms, ok, unavailable)).has_value());
    }
    device.began.wait();
  }
  CHECK(unavailable == 5);
  CHECK(ok == 0);
  CHECK(dispatch.stats().in_flight == 0);
}

TEST_CASE("lanes: a guest runs what it brought before it goes on") {
  const engine::ManualClock clock;
  Dispatch dispatch(patient_options(), clock);
  CountingDevice device;
  std::atomic<int> ok{0};
  std::atomic<int> unavailable{0};
  Lanes lanes(dispatch, device, 2);  // never started: only the guest is there
  lanes.run_as_guest();
  CHECK(device.served == 0);
  WorkTerms terms;
  terms.group = 1;
  const auto peer = dispatch.join();
  for (int i = 1; i <= 3; ++i) {
    CHECK_FALSE(
        dispatch.submit(std::make_shared<CountedWork>(peer, terms, ok, unavailable)).has_value());
    lanes.run_as_guest();
    CHECK(ok == i);
  }
  CHECK(device.lanes_seen == 1U << 2);
  CHECK(dispatch.stats().guest_batches == 3);
  CHECK(dispatch.stats().in_flight == 0);
}

// Guests of several threads at once, as of several io threads, some told so and some not.
TEST_CASE("lanes: whatever guests and lanes race for is served once") {
  const engine::SystemClock clock;
  DispatchOptions options = patient_options();
  options.guest_most = std::chrono::seconds(1'000);
  Dispatch dispatch(options, clock);
  CountingDevice device;
  std::atomic<int> ok{0};
  std::atomic<int> unavailable{0};
  std::atomic<int> admitted{0};
  Lanes lanes(dispatch, device, 2);
  REQUIRE(lanes.start().ok());
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      const auto peer = dispatch.join();
      WorkTerms terms;
      terms.group = 1;
      for (int i = 0; i < 2'000; ++i) {
        bool guest = false;
        auto work = std::make_shared<CountedWork>(peer, terms, ok, unavailable);
        if (!dispatch.submit(std::move(work), &guest).has_value()) admitted.fetch_add(1);
        if (guest || i % 7 == 0) lanes.run_as_guest();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  dispatch.drain();
  CHECK(dispatch.wait_idle(kNoDeadline));
  CHECK(admitted == 8'000);
  CHECK(ok == admitted);
  CHECK(device.served == admitted);
  CHECK(dispatch.stats().guest_batches > 0);
}

}  // namespace
}  // namespace vecserve::net
