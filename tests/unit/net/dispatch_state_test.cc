// What a dispatch predicts and decides: when it refuses, who gives way to whom, what classes get,
// and how it recovers from a slow spell; over a simulated device. Comes beside dispatch_test, which
// holds what happens to works once they are in.
// Test thread only; no real time passes. Always holds: a failure prints the seed that plays it
// again.
#include "net/dispatch_state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <vector>

#include "net/dispatch.h"
#include "tests/support/dice.h"
#include "tests/support/simulated_service.h"

namespace vecserve::net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using test::dispatch_options;
using test::flood;
using test::learn;
using test::Served;
using test::SimulatedDevice;
using test::SimulatedService;
using test::terms_of;

TEST_CASE("dispatch: a full queue refuses with the wait and when to come again") {
  SimulatedService service(dispatch_options(), {}, 1);
  learn(service, terms_of(1));
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(1), 1'000, done);
  const DispatchStats stats = service.dispatch().stats();
  CHECK(stats.refused[static_cast<std::size_t>(RefusalReason::queue_time)] > 0);
  const auto target = stats.target;
  REQUIRE(service.last_refusal().has_value());
  CHECK(service.last_refusal()->predicted_wait > Duration(0));
  CHECK(service.last_refusal()->retry_after > Duration(0));
  CHECK(service.last_refusal()->retry_after < target);
  CHECK(service.dispatch().load(*peer).level > 0.9F);
  service.run_dry();
  for (const Served& served : done) CHECK(served.latency <= target);
  CHECK(service.dispatch().load(*peer).level < 0.5F);
}

TEST_CASE("dispatch: an idle server tries again after a slow spell") {
  SimulatedService service(dispatch_options(), {}, 1);
  service.device().fixed = milliseconds(50);
  learn(service, terms_of(1));
  service.device().fixed = microseconds(300);
  const auto peer = service.dispatch().join();
  int served = 0;
  for (int i = 0; i < 3'000; ++i) {
    WorkTerms terms = terms_of(1);
    terms.deadline = service.now() + milliseconds(5);
    static_cast<void>(service.submit(peer, terms, [&](const Served& s) {
      if (s.code == StatusCode::ok) ++served;
    }));
    service.run_for(milliseconds(10));
  }
  // One trial each 100 ms, until the median has followed.
  CHECK(served > 200);
  CHECK(service.submit(peer, terms_of(1)) != nullptr);
  service.run_dry();
}

TEST_CASE("dispatch: a connection that floods gives way to one that asks little") {
  SimulatedService service(dispatch_options(), {}, 1);
  learn(service, terms_of(1));
  const auto flooder = service.dispatch().join();
  const auto polite = service.dispatch().join();
  std::vector<Served> of_flooder;
  std::vector<Served> of_polite;
  int refused = 0;
  for (int i = 0; i < 2'000; ++i) {  // 200 ms at ten times capacity, and a request each 1 ms
    flood(service, flooder, terms_of(1), 100, of_flooder);
    if (i % 10 == 0) {
      const auto work =
          service.submit(polite, terms_of(1), [&](const Served& s) { of_polite.push_back(s); });
      if (work == nullptr) ++refused;
    }
    service.run_for(microseconds(100));
  }
  service.run_dry();
  CHECK(refused == 0);
  REQUIRE(of_polite.size() == 200);
  const DispatchStats stats = service.dispatch().stats();
  for (const Served& served : of_polite) {
    CHECK(served.code == StatusCode::ok);
    CHECK(served.latency <= stats.target + stats.slow_batch);  // as for everybody
  }
  CHECK(of_flooder.size() > 10'000);
  CHECK(stats.shed > 0);
}

std::uint64_t count_ok(const std::vector<Served>& all) {
  return static_cast<std::uint64_t>(std::count_if(
      all.begin(), all.end(), [](const Served& s) { return s.code == StatusCode::ok; }));
}

// A Poisson gap at `rate` per second.
Duration gap(test::Dice& dice, double rate) {
  const double unit = (static_cast<double>(dice.below(1'000'000)) + 0.5) / 1e6;
  return Duration(static_cast<Duration::rep>(-std::log(unit) / rate * 1e9));
}

// Interactive work at 80 % of capacity beside nine times too much bulk work, for a second.
TEST_CASE("dispatch: interactive work is served while bulk work overflows, which keeps its share") {
  const bool same_group = GENERATE(true, false);
  INFO("same group " << same_group);
  SimulatedService service(dispatch_options(), {}, 1);
  const GroupId bulk_group = same_group ? 1 : 2;
  learn(service, terms_of(1));
  learn(service, terms_of(bulk_group));
  const auto a = service.dispatch().join();
  const auto b = service.dispatch().join();
  std::vector<Served> interactive;
  std::vector<Served> bulk;
  test::Dice dice(same_group ? 1 : 2);
  const double capacity = 64.0 / 620e-6;
  std::uint64_t offered = 0;
  const TimePoint end = service.now() + std::chrono::seconds(1);
  TimePoint next_a = service.now();
  TimePoint next_b = service.now();
  while (service.now() < end) {
    if (next_a < next_b) {
      service.run_until(next_a);
      flood(service, a, terms_of(1), 1, interactive);
      ++offered;
      next_a += gap(dice, capacity * 0.8);
    } else {
      service.run_until(next_b);
      flood(service, b, terms_of(bulk_group, Priority::bulk), 1, bulk);
      next_b += gap(dice, capacity * 9.2);
    }
  }
  service.run_dry();
  CHECK(count_ok(interactive) >= offered * 99 / 100);
  CHECK(static_cast<double>(count_ok(bulk)) >= capacity * 0.025);
}

TEST_CASE("dispatch: background work is not forgotten while interactive work overflows") {
  SimulatedService service(dispatch_options(), {}, 1);
  learn(service, terms_of(1));
  const auto a = service.dispatch().join();
  const auto b = service.dispatch().join();
  std::vector<Served> interactive;
  std::vector<Served> background;
  for (int i = 0; i < 10'000; ++i) {  // a second at ten times capacity
    flood(service, a, terms_of(1), 100, interactive);
    flood(service, b, terms_of(2, Priority::background), 10, background);
    service.run_for(microseconds(100));
  }
  service.run_dry();
  CHECK(count_ok(background) > 500);
  CHECK(count_ok(interactive) > 85'000);
}

TEST_CASE("dispatch: a long batch on one lane does not shut out short ones on the other") {
  SimulatedService service(dispatch_options(), {}, 1);
  service.device().serial = false;
  learn(service, terms_of(1));
  const auto peer = service.dispatch().join();
  std::vector<Served> heavy;
  std::vector<Served> light;
  WorkTerms terms = terms_of(kAlone, Priority::bulk);
  terms.weight = 40'000;  // 200 ms
  flood(service, peer, terms, 1, heavy);
  for (int i = 0; i < 100; ++i) {
    flood(service, peer, terms_of(1), 1, light);
    service.run_for(milliseconds(1));
  }
  CHECK(heavy.empty());
  CHECK(light.size() == 100);
  service.run_dry();
  CHECK(heavy.size() == 1);
}

TEST_CASE("dispatch: the load that a reply carries falls and rises with what waits") {
  SimulatedService service(dispatch_options(), {}, 1);
  learn(service, terms_of(1));
  const auto a = service.dispatch().join();
  const auto b = service.dispatch().join();
  const Load idle = service.dispatch().load(*a);
  CHECK(idle.queued == 0);
  CHECK(idle.spare == 64);
  CHECK(idle.predicted_wait == Duration(0));
  CHECK(idle.level < 0.5F);
  CHECK(idle.credits >= 64);
  std::vector<Served> done;
  flood(service, a, terms_of(1), 22, done);
  const Load busy = service.dispatch().load(*a);
  CHECK(busy.queued == 20);
  CHECK(busy.spare == 44);
  CHECK(busy.predicted_wait > Duration(0));
  CHECK(busy.level > idle.level);
  CHECK(service.dispatch().load(*b).credits <= busy.credits / 2);  // it would be one more
  service.run_dry();
  REQUIRE_FALSE(done.empty());
  CHECK(done.front().outcome.load.queued == 20);
  const Load after = service.dispatch().load(*a);
  CHECK(after.queued == 0);
  CHECK(after.spare == idle.spare);
  CHECK(after.predicted_wait == Duration(0));
  CHECK(after.level < 0.5F);
  CHECK(after.level < busy.level);
}

// Works that are served per second when ten times as many come, in the second half of `length`.
double rate_under_overload(SimulatedService& service, Duration length, double per_second) {
  const auto gap = Duration(static_cast<Duration::rep>(1e9 / per_second));
  const TimePoint begin = service.now();
  const auto peer = service.dispatch().join();
  std::uint64_t served = 0;
  const auto count = [&](const Served& one) {
    if (one.code == StatusCode::ok && one.finished - begin >= length / 2) ++served;
  };
  while (service.now() - begin < length) {
    static_cast<void>(service.submit(peer, terms_of(1), count));
    service.run_for(gap);
  }
  service.run_dry();
  return static_cast<double>(served) / std::chrono::duration<double>(length / 2).count();
}

// The device is slow for a second, as one that shares its processors with something else, while
// the target stays what it was: then hardly anything is admitted, batches are small, and what
// large ones cost is never seen again unless predictions find their way back up.
TEST_CASE("dispatch: after a spell of slowness batches fill again") {
  const int slower = GENERATE(3, 5, 10, 20);
  INFO("the device was so many times slower: " << slower);
  DispatchOptions options;
  options.batch_max = 128;
  options.target = milliseconds(60);
  SimulatedDevice device;
  device.fixed = milliseconds(6);
  device.per_weight = microseconds(60);
  device.spread = 0.2;
  SimulatedService service(options, device, 1);
  const double capacity = 128 / (6e-3 + 128 * 60e-6);
  const double before = rate_under_overload(service, std::chrono::seconds(4), 10 * capacity);
  CHECK(before > 0.9 * capacity);
  service.device().fixed *= slower;
  service.device().per_weight *= slower;
  static_cast<void>(rate_under_overload(service, std::chrono::seconds(1), 10 * capacity));
  service.device() = device;
  const double after = rate_under_overload(service, std::chrono::seconds(10), 10 * capacity);
  CHECK(after > 0.95 * before);
}

class PlainWork final : public Work {
 public:
  using Work::Work;
  void finish(const Outcome&) noexcept override {}
};

// A dispatch whose works come and run one after another, by hand.
struct ByHand {
  explicit ByHand(const DispatchOptions& options) : dispatch(options, clock) {}
  // Whether the bringer of a new work is to run it.
  bool bring(std::uint32_t weight = 1) {
    WorkTerms terms = terms_of(1);
    terms.weight = weight;
    bool guest = false;
    CHECK_FALSE(
        dispatch.submit(std::make_shared<PlainWork>(dispatch.join(), terms), &guest).has_value());
    return guest;
  }
  void run(Duration took) {
    REQUIRE(dispatch.close(batch));
    clock.advance(took);
    dispatch.complete(batch);
  }
  engine::ManualClock clock;
  Dispatch dispatch;
  Batch batch;
};

TEST_CASE("dispatch: a short work that comes alone after a pause stays with who brought it") {
  ByHand hands(dispatch_options());
  CHECK_FALSE(hands.bring());  // nobody knows yet how long it takes
  for (int i = 0; i < 100; ++i) {
    hands.run(microseconds(50));
    hands.clock.advance(microseconds(100));
    CHECK(hands.bring());
  }
  CHECK_FALSE(hands.bring());  // another waits
  REQUIRE(hands.dispatch.close(hands.batch));
  CHECK_FALSE(hands.bring());  // two run
  hands.clock.advance(microseconds(50));
  hands.dispatch.complete(hands.batch);
  hands.run(microseconds(50));
  CHECK_FALSE(hands.bring());  // its bringer would be busy more than half of the time
  hands.run(microseconds(50));
  hands.clock.advance(milliseconds(1));
  CHECK(hands.bring());
  hands.run(microseconds(50));
}

TEST_CASE("dispatch: a work that takes long, or that nobody may run, goes to a lane") {
  DispatchOptions options = dispatch_options();
  options.guest_most = GENERATE(microseconds(0), microseconds(49), microseconds(60));
  INFO("a guest may take " << options.guest_most.count() << " ns");
  ByHand hands(options);
  static_cast<void>(hands.bring());
  hands.run(microseconds(50));
  hands.clock.advance(milliseconds(1));
  CHECK(hands.bring() == (options.guest_most == microseconds(60)));
  hands.run(microseconds(50));
  options.guest_most = Duration(-1);
  CHECK(options.validate().code() == StatusCode::invalid_argument);
}

TEST_CASE(
    "dispatch: a guest's batch is predicted and counted like any, and takes no lane's place") {
  ByHand hands(dispatch_options());
  static_cast<void>(hands.bring());
  hands.run(microseconds(50));
  hands.clock.advance(milliseconds(1));
  REQUIRE(hands.bring());
  Batch guest;
  guest.lane = dispatch_options().lanes;
  REQUIRE(hands.dispatch.close(guest));
  Batch lanes[2];
  for (Batch& batch : lanes) {
    CHECK_FALSE(hands.bring());
    REQUIRE(hands.dispatch.close(batch));
  }
  CHECK(hands.dispatch.stats().lanes_busy == 3);
  CHECK(hands.dispatch.stats().guest_batches == 0);
  hands.clock.advance(microseconds(50));
  hands.dispatch.complete(guest);
  for (Batch& batch : lanes) hands.dispatch.complete(batch);
  CHECK(hands.dispatch.stats().lanes_busy == 0);
  CHECK(hands.dispatch.stats().guest_batches == 1);
  CHECK(hands.dispatch.stats().batches == 4);
  CHECK(hands.dispatch.stats().in_flight == 0);
}

}  // namespace
}  // namespace vecserve::net
