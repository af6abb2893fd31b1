// The serving core over a simulated device and a clock that stands still: its promises one by one,
// then all of them at once under random arrivals, deadlines, cancels and classes.
// Comes after batcher_test. Test thread only; no real time passes. Always holds: a failure prints
// the seed that plays it again.
#include "net/dispatch.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <utility>
#include <vector>

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

TEST_CASE("dispatch: a lone work begins at once and is answered with its stages") {
  SimulatedService service(dispatch_options(), {}, 1);
  Served served;
  const auto peer = service.dispatch().join();
  REQUIRE(service.submit(peer, terms_of(7), [&](const Served& s) { served = s; }) != nullptr);
  CHECK(service.dispatch().stats().in_flight == 1);
  service.run_dry();
  CHECK(served.finishes == 1);
  CHECK(served.code == StatusCode::ok);
  CHECK(served.latency == microseconds(305));
  CHECK(served.outcome.stages.queue_ns == 0);
  CHECK(served.outcome.stages.run_ns == 305'000);
  CHECK(served.outcome.batch_works == 1);
  const DispatchStats stats = service.dispatch().stats();
  CHECK(stats.completed == 1);
  CHECK(stats.in_flight == 0);
  CHECK(stats.batches == 1);
}

TEST_CASE("dispatch: what comes while the lanes are busy rides in one batch") {
  SimulatedService service(dispatch_options(), {}, 1);
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(7), 12, done);
  service.run_dry();
  REQUIRE(done.size() == 12);
  CHECK(done[0].outcome.batch_works == 1);
  CHECK(done[1].outcome.batch_works == 1);
  CHECK(done[2].outcome.batch_works == 10);
  CHECK(done[11].outcome.stages.queue_ns == 305'000);
}

TEST_CASE("dispatch: works of different groups never share a batch, nor do those of none") {
  SimulatedService service(dispatch_options(), {}, 1);
  service.on_batch = [](const Batch& batch) {
    for (const auto& work : batch.works) CHECK(work->terms().group == batch.group);
    if (batch.group == kAlone) CHECK(batch.works.size() == 1);
  };
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(1), 2, done);
  for (int i = 0; i < 3; ++i) {
    for (const GroupId group : {GroupId{1}, GroupId{2}, kAlone}) {
      flood(service, peer, terms_of(group), 1, done);
    }
  }
  service.run_dry();
  CHECK(done.size() == 11);
  CHECK(service.dispatch().stats().batches == 2 + 2 + 3);
}

TEST_CASE("dispatch: a deadline that has passed or cannot be met is refused at once") {
  SimulatedService service(dispatch_options(), {}, 1);
  learn(service, terms_of(1));
  const auto peer = service.dispatch().join();
  WorkTerms terms = terms_of(1);
  terms.deadline = service.now();
  CHECK(service.submit(peer, terms) == nullptr);
  REQUIRE(service.last_refusal().has_value());
  CHECK(service.last_refusal()->reason == RefusalReason::deadline);
  CHECK(service.last_refusal()->retry_after == Duration(0));

  std::vector<Served> done;
  flood(service, peer, terms_of(1), 2, done);
  terms.deadline = service.now() + microseconds(300);
  CHECK(service.submit(peer, terms) == nullptr);
  REQUIRE(service.last_refusal().has_value());
  CHECK(service.last_refusal()->reason == RefusalReason::deadline);
  CHECK(service.last_refusal()->predicted_wait > microseconds(300));
  CHECK(service.last_refusal()->retry_after > Duration(0));
  service.run_dry();
  CHECK(done.size() == 2);
}

TEST_CASE("dispatch: without admission everything waits and is served, however late") {
  for (const Admission admission : {Admission::by_time, Admission::unbounded}) {
    DispatchOptions options = dispatch_options(16);
    options.admission = admission;
    SimulatedService service(options, {}, 1);
    learn(service, terms_of(7));
    const std::uint64_t learned = service.dispatch().stats().completed;
    const auto peer = service.dispatch().join();
    WorkTerms terms = terms_of(7);
    terms.deadline = service.now() + milliseconds(2);
    std::vector<Served> done;
    flood(service, peer, terms, 4'000, done);
    service.run_dry();
    const DispatchStats stats = service.dispatch().stats();
    CHECK(stats.in_flight == 0);
    if (admission == Admission::by_time) {
      CHECK(done.size() < 100);
      continue;
    }
    REQUIRE(done.size() == 4'000);
    CHECK(stats.completed - learned == 4'000);
    CHECK(stats.expired == 0);
    CHECK(stats.shed == 0);
    CHECK(stats.refused[static_cast<std::size_t>(RefusalReason::queue_time)] == 0);
    // 250 batches of 380 us, one after the other: the last is long past its deadline.
    CHECK(done.back().latency > milliseconds(80));
    CHECK(std::all_of(done.begin(), done.end(),
                      [](const Served& one) { return one.code == StatusCode::ok; }));
  }
}

TEST_CASE("dispatch: the backstops hold without admission too") {
  DispatchOptions options = dispatch_options(16);
  options.admission = Admission::unbounded;
  options.works_max = 50;
  SimulatedService service(options, {}, 1);
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(7), 60, done);
  service.run_dry();
  CHECK(done.size() == 50);
  CHECK(service.dispatch().stats().refused[static_cast<std::size_t>(RefusalReason::count)] == 10);
}

TEST_CASE("dispatch: a queued work that is cancelled is answered at once and never begins") {
  SimulatedService service(dispatch_options(), {}, 1);
  const auto peer = service.dispatch().join();
  std::vector<Served> busy;
  flood(service, peer, terms_of(1), 2, busy);
  Served served;
  const auto work = service.submit(peer, terms_of(1), [&](const Served& s) { served = s; });
  service.on_batch = [](const Batch&) { FAIL("nothing may begin"); };
  CHECK(service.dispatch().cancel(*work));
  CHECK(served.finishes == 1);
  CHECK(served.code == StatusCode::cancelled);
  CHECK_FALSE(service.dispatch().cancel(*work));
  service.run_dry();
  CHECK(busy.size() == 2);
  CHECK(service.dispatch().stats().in_flight == 0);
}

TEST_CASE("dispatch: a running batch is stopped when the last who wants it cancels") {
  SimulatedService service(dispatch_options(), {}, 1);
  std::shared_ptr<CancelToken> stop;
  service.on_batch = [&](const Batch& batch) { stop = batch.stop; };
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(1), 2, done);
  const auto a = service.submit(peer, terms_of(1));
  const auto b = service.submit(peer, terms_of(1));
  service.run_for(microseconds(306));  // one lane is free again and took both
  REQUIRE(service.dispatch().stats().running == 3);
  REQUIRE(stop != nullptr);
  CHECK_FALSE(service.dispatch().cancel(*a, true));  // only if it waits: it does not
  CHECK_FALSE(a->cancelled());
  CHECK(service.dispatch().cancel(*a));
  CHECK(service.dispatch().cancel(*a));  // twice counts once
  CHECK(a->cancelled());
  CHECK_FALSE(stop->cancelled());
  CHECK(service.dispatch().cancel(*b));
  CHECK(stop->cancelled());
  service.run_dry();
  CHECK(service.dispatch().stats().in_flight == 0);
}

TEST_CASE("dispatch: all works of a peer that hangs up are cancelled, nobody else's") {
  SimulatedService service(dispatch_options(), {}, 1);
  const auto gone = service.dispatch().join();
  const auto stays = service.dispatch().join();
  std::vector<Served> of_gone;
  std::vector<Served> of_stays;
  flood(service, gone, terms_of(1), 1, of_gone);
  flood(service, stays, terms_of(1), 1, of_stays);
  flood(service, gone, terms_of(1), 5, of_gone);
  flood(service, gone, terms_of(2, Priority::bulk), 5, of_gone);
  flood(service, stays, terms_of(2), 5, of_stays);
  service.dispatch().cancel_all(*gone);
  CHECK(of_gone.size() == 10);
  for (const Served& served : of_gone) CHECK(served.code == StatusCode::cancelled);
  service.run_dry();
  CHECK(of_gone.size() == 11);
  CHECK(of_stays.size() == 6);
  for (const Served& served : of_stays) CHECK(served.code == StatusCode::ok);
}

TEST_CASE("dispatch: a draining core takes nothing new and finishes what it has") {
  SimulatedService service(dispatch_options(), {}, 1);
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(1), 10, done);
  service.dispatch().drain();
  CHECK(service.submit(peer, terms_of(1)) == nullptr);
  CHECK(service.last_refusal()->reason == RefusalReason::draining);
  CHECK_FALSE(service.dispatch().wait_idle(Deadline{}));
  service.run_dry();
  CHECK(done.size() == 10);
  CHECK(service.dispatch().wait_idle(Deadline{}));
}

TEST_CASE("dispatch: stopping answers what waits and stops what runs") {
  SimulatedService service(dispatch_options(), {}, 1);
  std::vector<std::shared_ptr<CancelToken>> stops;
  service.on_batch = [&](const Batch& batch) { stops.push_back(batch.stop); };
  const auto peer = service.dispatch().join();
  std::vector<Served> done;
  flood(service, peer, terms_of(1), 10, done);
  service.dispatch().stop();
  REQUIRE(done.size() == 8);
  for (const Served& served : done) CHECK(served.code == StatusCode::unavailable);
  REQUIRE(stops.size() == 2);
  CHECK(stops[0]->cancelled());
  CHECK(stops[1]->cancelled());
  service.run_dry();
  CHECK(done.size() == 10);
  Batch batch;
  CHECK_FALSE(service.dispatch().wait(batch));
}

TEST_CASE("dispatch: the bounds on works and bytes hold and are given back") {
  DispatchOptions options = dispatch_options();
  options.works_max = 5;
  options.peer_works_max = 3;
  options.bytes_max = 100;
  SimulatedService service(options, {}, 1);
  const auto a = service.dispatch().join();
  const auto b = service.dispatch().join();
  std::vector<Served> done;
  flood(service, a, terms_of(1), 3, done);
  CHECK(service.submit(a, terms_of(1)) == nullptr);
  CHECK(service.last_refusal()->reason == RefusalReason::count);
  WorkTerms large = terms_of(1);
  large.bytes = 90;
  CHECK(service.submit(b, large) != nullptr);
  large.bytes = 11;
  CHECK(service.submit(b, large) == nullptr);
  CHECK(service.last_refusal()->reason == RefusalReason::bytes);
  CHECK(service.submit(b, terms_of(1)) != nullptr);
  CHECK(service.submit(b, terms_of(1)) == nullptr);
  CHECK(service.last_refusal()->reason == RefusalReason::count);
  service.run_dry();
  CHECK(service.dispatch().stats().in_flight == 0);
  CHECK(service.dispatch().stats().bytes_in_flight == 0);
  CHECK(service.submit(a, terms_of(1)) != nullptr);
  service.run_dry();
}

// ---- everything at once
// --------------------------------------------------------------------------

struct Storm {
  std::uint64_t seed = 0;
  DispatchOptions options;
  SimulatedDevice device;
};

Storm storm_of(std::uint64_t seed) {
  test::Dice dice(seed, 1);
  Storm storm;
  storm.seed = seed;
  storm.options.lanes = static_cast<std::uint32_t>(dice.between(1, 4));
  storm.options.batch_max = static_cast<std::uint32_t>(dice.between(1, 100));
  storm.options.works_max = static_cast<std::uint32_t>(dice.between(1, 300));
  storm.options.peer_works_max = static_cast<std::uint32_t>(dice.between(1, 300));
  storm.device.spread = static_cast<double>(dice.below(10)) / 10.0;
  storm.device.serial = dice.percent(50);
  return storm;
}

class StormRun {
 public:
  explicit StormRun(const Storm& storm)
      : service_(storm.options, storm.device, storm.seed), dice_(storm.seed, 2) {
    for (int i = 0; i < 8; ++i) peers_.push_back(service_.dispatch().join());
    service_.on_batch = [this](const Batch& batch) { check_batch(batch); };
  }

  void step() {
    const std::uint64_t roll = dice_.below(100);
    if (roll < 70) {
      submit();
    } else if (roll < 75 && !works_.empty()) {
      const auto work = works_[dice_.below(works_.size())].lock();
      if (work != nullptr) static_cast<void>(service_.dispatch().cancel(*work));
      service_.feed_lanes();
    } else if (roll == 75) {
      service_.dispatch().cancel_all(*peers_[dice_.below(peers_.size())]);
    } else {
      service_.run_for(microseconds(dice_.below(200)));
    }
    check_now();
  }

  void end() {
    service_.run_dry();
    const DispatchStats stats = service_.dispatch().stats();
    CHECK(stats.in_flight == 0);
    CHECK(stats.bytes_in_flight == 0);
    CHECK(stats.running == 0);
    CHECK(stats.lanes_busy == 0);
    CHECK(stats.queued[0] + stats.queued[1] + stats.queued[2] == 0);
    CHECK(finishes_ == admitted_);
    CHECK(stats.admitted == admitted_);
    CHECK(stats.completed + stats.expired + stats.cancelled + stats.shed == admitted_);
    CHECK(service_.dispatch().wait_idle(Deadline{}));
    for (const auto& work : works_) CHECK(work.expired());
  }

 private:
  void submit() {
    WorkTerms terms;
    terms.group = dice_.below(4);
    terms.priority = static_cast<Priority>(dice_.below(3));
    terms.weight =
        static_cast<std::uint32_t>(dice_.percent(5) ? dice_.between(1, 500) : dice_.between(1, 4));
    terms.bytes = dice_.below(1'000);
    if (dice_.percent(60)) terms.deadline = service_.now() + microseconds(dice_.below(5'000));
    const auto work =
        service_.submit(peers_[dice_.below(peers_.size())], terms, [this](const Served& served) {
          CHECK(served.finishes == 1);
          ++finishes_;
        });
    if (work == nullptr) return;
    ++admitted_;
    works_.push_back(work);
  }

  void check_batch(const Batch& batch) {
    REQUIRE_FALSE(batch.works.empty());
    CHECK(batch.statuses.size() == batch.works.size());
    std::uint32_t weight = 0;
    for (const auto& work : batch.works) {
      CHECK_FALSE(work->cancelled());
      CHECK(work->terms().deadline > service_.now());
      CHECK(work->terms().group == batch.group);
      weight += work->terms().weight;
    }
    CHECK(weight == batch.weight);
  }

  // No lane is idle while a work waits.
  void check_now() {
    const DispatchStats stats = service_.dispatch().stats();
    const std::uint64_t waits = stats.queued[0] + stats.queued[1] + stats.queued[2];
    CHECK((waits == 0 || stats.lanes_busy == lanes()));
    CHECK(stats.in_flight == waits + stats.running);
    CHECK(admitted_ == finishes_ + stats.in_flight);
  }
  [[nodiscard]] std::uint32_t lanes() const { return lanes_; }

  SimulatedService service_;
  test::Dice dice_;
  std::vector<std::shared_ptr<Peer>> peers_;
  std::vector<std::weak_ptr<Work>> works_;
  std::uint64_t admitted_ = 0;
  std::uint64_t finishes_ = 0;

 public:
  std::uint32_t lanes_ = 0;
};

TEST_CASE("dispatch: its promises hold under random load") {
  const std::uint64_t seeds = VECSERVE_SANITIZED ? 10 : 60;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    const Storm storm = storm_of(seed);
    StormRun run(storm);
    run.lanes_ = storm.options.lanes;
    for (int i = 0; i < 1'500; ++i) run.step();
    run.end();
  }
}

// The outcome of each work is its own: whatever the order of arrival, all that are admitted with
// room to spare are served, once, with the same status.
TEST_CASE("dispatch: the order of arrival does not change what becomes of works") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    test::Dice dice(seed);
    DispatchOptions options = dispatch_options();
    options.target = std::chrono::seconds(1);
    SimulatedService service(options, {}, seed);
    const auto peer = service.dispatch().join();
    std::vector<GroupId> order;
    for (int i = 0; i < 40; ++i) order.push_back(1 + static_cast<GroupId>(i) % 3);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[dice.below(i)]);
    std::multiset<GroupId> served;
    for (const GroupId group : order) {
      static_cast<void>(service.submit(peer, terms_of(group), [&served, group](const Served& s) {
        if (s.code == StatusCode::ok) served.insert(group);
      }));
    }
    service.run_dry();
    CHECK(served == std::multiset<GroupId>(order.begin(), order.end()));
  }
}

TEST_CASE("dispatch options: each wrong field is named") {
  CHECK(DispatchOptions{}.validate().ok());
  DispatchOptions options;
  options.lanes = 0;
  CHECK(options.validate().field() == "lanes");
  options = {};
  options.batch_max = 0;
  CHECK(options.validate().field() == "batch_max");
  options = {};
  options.target_batches = 0.5;
  CHECK(options.validate().field() == "target_batches");
  options = {};
  options.first_guess = Duration(0);
  CHECK(options.validate().field() == "target");
  options = {};
  options.bulk_share = 0.6;
  CHECK(options.validate().field() == "bulk_share");
  options = {};
  options.works_max = 0;
  CHECK(options.validate().field() == "works_max");
}

}  // namespace
}  // namespace vecserve::net
