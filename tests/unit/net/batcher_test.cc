// The queues alone: who is next, whose turn it is, what is dropped, and that counts and rings agree
// after every step of a random walk. Comes after cost_model_test, before dispatch_test.
// Test thread only. Always holds: a failure prints the seed that plays it again.
#include "net/batcher.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/simulated_service.h"

namespace vecserve::net {
namespace {

using std::chrono::microseconds;
using test::terms_of;

class QueuedWork final : public Work {
 public:
  using Work::Work;
  void finish(const Outcome&) noexcept override {}
};

const TimePoint kStart = TimePoint(std::chrono::seconds(1));

class Queues {
 public:
  explicit Queues(std::uint32_t batch_max = 16) : batcher(options_of(batch_max)) {}

  std::shared_ptr<Work> push(const std::shared_ptr<Peer>& peer, const WorkTerms& terms,
                             TimePoint now = kStart) {
    auto work = std::make_shared<QueuedWork>(peer, terms);
    batcher.push(work, batcher.group(terms.group), now);
    return work;
  }
  bool close(const ClosePolicy& policy = {}, TimePoint now = kStart) {
    return batcher.close(batch, now, policy, batch.dropped);
  }
  // How many works of each peer the batch holds.
  [[nodiscard]] std::map<const Peer*, int> shares() const {
    std::map<const Peer*, int> shares;
    for (const auto& work : batch.works) ++shares[&work->peer()];
    return shares;
  }

  Batcher batcher;
  Batch batch;

 private:
  static BatcherOptions options_of(std::uint32_t batch_max) {
    BatcherOptions options;
    options.batch_max = batch_max;
    return options;
  }
};

TEST_CASE("batcher: connections take turns, however much one of them asks") {
  Queues queues;
  const auto a = std::make_shared<Peer>();
  const auto b = std::make_shared<Peer>();
  for (int i = 0; i < 100; ++i) queues.push(a, terms_of(1));
  for (int i = 0; i < 5; ++i) queues.push(b, terms_of(1));
  REQUIRE(queues.close());
  CHECK(queues.batch.works.size() == 16);
  CHECK(queues.shares()[b.get()] == 5);
  REQUIRE(queues.close());
  CHECK(queues.shares()[a.get()] == 16);
  CHECK(queues.batcher.works() == 73);
}

TEST_CASE("batcher: within a connection a work whose time ends sooner goes first") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  const auto other = std::make_shared<Peer>();
  const auto push = [&](const std::shared_ptr<Peer>& by, Deadline deadline) {
    WorkTerms terms = terms_of(1);
    terms.deadline = deadline;
    return queues.push(by, terms);
  };
  const auto by = [](int ms) { return kStart + std::chrono::milliseconds(ms); };
  const auto patient = push(peer, kNoDeadline);
  const auto thirty = push(peer, by(30));
  const auto ten = push(peer, by(10));
  const auto twenty = push(peer, by(20));
  const auto second_ten = push(peer, by(10));
  const auto last = push(peer, kNoDeadline);
  const auto five = push(peer, by(5));
  const auto theirs = push(other, by(1));
  REQUIRE(queues.close());
  // Connections take turns all the same; what may wait for ever is not overtaken.
  using Works = std::vector<std::shared_ptr<Work>>;
  CHECK(queues.batch.works == Works{patient, theirs, ten, second_ten, twenty, thirty, last, five});
}

TEST_CASE("batcher: a work in a hurry goes ahead of 64 others at most") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  WorkTerms terms = terms_of(1);
  for (int i = 0; i < 100; ++i) {
    terms.deadline = kStart + std::chrono::seconds(1) + microseconds(i);
    queues.push(peer, terms);
  }
  terms.deadline = kStart + std::chrono::milliseconds(500);
  const auto hurried = queues.push(peer, terms);
  std::vector<std::shared_ptr<Work>> taken;
  while (queues.close()) {
    taken.insert(taken.end(), queues.batch.works.begin(), queues.batch.works.end());
  }
  REQUIRE(taken.size() == 101);
  CHECK(taken[36] == hurried);
}

TEST_CASE("batcher: turns are by weight, so that heavy works get no more") {
  Queues queues(64);
  const auto heavy = std::make_shared<Peer>();
  const auto light = std::make_shared<Peer>();
  WorkTerms eight = terms_of(1);
  eight.weight = 8;
  std::uint64_t weight_heavy = 0;
  std::uint64_t weight_light = 0;
  for (int i = 0; i < 1'000; ++i) queues.push(heavy, eight);
  for (int i = 0; i < 3'000; ++i) queues.push(light, terms_of(1));
  for (int i = 0; i < 40; ++i) {
    REQUIRE(queues.close());
    for (const auto& work : queues.batch.works) {
      (&work->peer() == heavy.get() ? weight_heavy : weight_light) += work->terms().weight;
    }
  }
  CHECK(weight_heavy >= weight_light * 9 / 10);
  CHECK(weight_heavy <= weight_light * 11 / 10);
}

TEST_CASE("batcher: a work heavier than a batch rides alone and is paid back") {
  Queues queues;
  const auto a = std::make_shared<Peer>();
  const auto b = std::make_shared<Peer>();
  WorkTerms huge = terms_of(1);
  huge.weight = 160;
  queues.push(a, huge);
  queues.push(a, huge);
  for (int i = 0; i < 320; ++i) queues.push(b, terms_of(1));
  std::vector<std::uint32_t> weights;
  while (queues.close()) weights.push_back(queues.batch.weight);
  CHECK(std::count(weights.begin(), weights.end(), 160U) == 2);
  const auto first = std::find(weights.begin(), weights.end(), 160U);
  const auto second = std::find(first + 1, weights.end(), 160U);
  CHECK(second - first >= 9);  // 160 of weight later, in batches of 16
}

TEST_CASE("batcher: groups of one class take turns by batch") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  for (int i = 0; i < 64; ++i) queues.push(peer, terms_of(1));
  queues.push(peer, terms_of(2));
  queues.push(peer, terms_of(3));
  std::vector<GroupId> order;
  while (queues.close()) order.push_back(queues.batch.group);
  CHECK(order == std::vector<GroupId>{1, 2, 3, 1, 1, 1});
}

TEST_CASE("batcher: higher classes go first and lower ones fill the batch") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  for (int i = 0; i < 10; ++i) queues.push(peer, terms_of(1, Priority::background));
  for (int i = 0; i < 10; ++i) queues.push(peer, terms_of(1, Priority::bulk));
  for (int i = 0; i < 20; ++i) queues.push(peer, terms_of(1));
  REQUIRE(queues.close());
  std::map<Priority, int> classes;
  for (const auto& work : queues.batch.works) ++classes[work->terms().priority];
  CHECK(classes[Priority::interactive] == 14);
  CHECK(classes[Priority::bulk] == 1);  // the reserved places
  CHECK(classes[Priority::background] == 1);
  REQUIRE(queues.close());
  classes.clear();
  for (const auto& work : queues.batch.works) ++classes[work->terms().priority];
  CHECK(classes[Priority::interactive] == 6);
  CHECK(classes[Priority::bulk] == 9);
  CHECK(classes[Priority::background] == 1);
}

TEST_CASE("batcher: a lower class of another group gets its promised share of time") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  for (int i = 0; i < 16 * 200; ++i) queues.push(peer, terms_of(1));
  for (int i = 0; i < 16 * 200; ++i) queues.push(peer, terms_of(2, Priority::bulk));
  int bulk = 0;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(queues.close());
    bulk += queues.batch.group == 2 ? 1 : 0;
  }
  CHECK(bulk >= 8);  // 5 % of 200 batches
  CHECK(bulk <= 12);
}

TEST_CASE("batcher: what has expired or waited too long is dropped, not taken") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  WorkTerms late = terms_of(1);
  late.deadline = kStart + microseconds(10);
  queues.push(peer, late);
  queues.push(peer, terms_of(1));
  queues.push(peer, terms_of(1), kStart + microseconds(90));
  ClosePolicy policy;
  policy.shed_above = microseconds(50);
  REQUIRE(queues.close(policy, kStart + microseconds(100)));
  CHECK(queues.batch.works.size() == 1);
  REQUIRE(queues.batch.dropped.size() == 2);
  CHECK(queues.batch.dropped[0].why == Dropped::Why::shed);
  CHECK(queues.batch.dropped[1].why == Dropped::Why::shed);
  CHECK(queues.batcher.works() == 0);
}

TEST_CASE("batcher: a work without the time that a batch takes is not begun") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  Group& group = queues.batcher.group(1);
  group.cost.record(1, microseconds(500), TimePoint{});
  WorkTerms hurried = terms_of(1);
  hurried.deadline = kStart + microseconds(400);
  queues.push(peer, hurried);
  CHECK_FALSE(queues.close());
  REQUIRE(queues.batch.dropped.size() == 1);
  CHECK(queues.batch.dropped[0].why == Dropped::Why::expired);
  hurried.deadline = kStart + microseconds(600);
  queues.push(peer, hurried);
  CHECK(queues.close());
  CHECK(queues.batch.deadline == hurried.deadline);
  queues.push(peer, hurried);
  ClosePolicy policy;
  policy.running = microseconds(200);  // another lane's batch comes first
  CHECK_FALSE(queues.close(policy));
}

TEST_CASE("batcher: while overloaded the newest of a connection go first") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  std::vector<std::shared_ptr<Work>> works;
  for (int i = 0; i < 20; ++i) works.push_back(queues.push(peer, terms_of(1)));
  ClosePolicy policy;
  policy.newest_first = true;
  REQUIRE(queues.close(policy));
  CHECK(queues.batch.works.front() == works[19]);
  CHECK(queues.batcher.oldest() == works[0].get());
}

TEST_CASE("batcher: what has waited long goes before all turns, oldest first") {
  Queues queues;
  const auto a = std::make_shared<Peer>();
  const auto b = std::make_shared<Peer>();
  std::vector<std::shared_ptr<Work>> old;
  for (int i = 0; i < 10; ++i) old.push_back(queues.push(a, terms_of(1), kStart));
  for (int i = 0; i < 10; ++i) queues.push(a, terms_of(1), kStart + microseconds(50));
  for (int i = 0; i < 10; ++i) queues.push(b, terms_of(1), kStart + microseconds(90));
  ClosePolicy policy;
  policy.rush_above = microseconds(60);
  REQUIRE(queues.close(policy, kStart + microseconds(100)));
  CHECK(std::equal(old.begin(), old.end(), queues.batch.works.begin()));
  CHECK(queues.shares()[b.get()] == 6);  // which made up for it
}

TEST_CASE("batcher: sweeping finds what has expired, a few at a time") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  for (int i = 0; i < 200; ++i) {
    WorkTerms terms = terms_of(1);
    if (i % 2 == 0) terms.deadline = kStart + microseconds(5);
    queues.push(peer, terms);
  }
  std::vector<Dropped> dropped;
  queues.batcher.sweep(kStart + microseconds(5), {}, dropped);
  CHECK_FALSE(dropped.empty());
  CHECK(dropped.size() < 100);
  for (int i = 0; i < 20; ++i) queues.batcher.sweep(kStart + microseconds(5), {}, dropped);
  CHECK(dropped.size() == 100);
  CHECK(queues.batcher.works() == 100);
}

TEST_CASE("batcher: the wait that it predicts counts batches, not works") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  Group& group = queues.batcher.group(1);
  for (int i = 0; i < 8; ++i) group.cost.record(16, microseconds(100), TimePoint{});
  const Duration batch = group.cost.slow_batch();
  const auto wait = [&](std::uint32_t weight) {
    return queues.batcher.wait_of(group, Priority::interactive, weight);
  };
  CHECK(wait(1).queued == Duration(0));
  for (int i = 0; i < 15; ++i) queues.push(peer, terms_of(1));
  CHECK(wait(1).queued == Duration(0));  // it still rides along
  CHECK(wait(2).queued == batch);
  for (int i = 0; i < 17; ++i) queues.push(peer, terms_of(1));
  CHECK(wait(1).queued == 2 * batch);
  CHECK(wait(1).own == batch);
  // A bulk work waits for all of these, or for those of its class on its share.
  queues.push(peer, terms_of(1, Priority::bulk));
  const auto bulk = queues.batcher.wait_of(group, Priority::bulk, 1);
  CHECK(bulk.queued == 2 * batch);
  CHECK(bulk.of_class == batch);
  CHECK(bulk.share == 0.05);
}

TEST_CASE("batcher: the heaviest connection is known while anything waits") {
  Queues queues;
  const auto a = std::make_shared<Peer>();
  const auto b = std::make_shared<Peer>();
  CHECK(queues.batcher.heaviest() == nullptr);
  const auto only = queues.push(a, terms_of(1));
  CHECK(queues.batcher.heaviest() == a.get());
  queues.push(b, terms_of(1));
  queues.push(b, terms_of(2));
  CHECK(queues.batcher.heaviest() == b.get());
  while (queues.close()) {
  }
  CHECK(queues.batcher.heaviest() == nullptr);
}

TEST_CASE("batcher: more groups than are kept are no trouble") {
  Queues queues;
  const auto peer = std::make_shared<Peer>();
  for (GroupId id = 1; id <= 3'000; ++id) {
    queues.push(peer, terms_of(id));
    if (id % 3 != 0) CHECK(queues.close());
  }
  std::size_t left = 0;
  while (queues.close()) left += queues.batch.works.size();
  CHECK(left == 1'000);
}

TEST_CASE("batcher: counts agree with what was pushed, taken and removed") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    test::Dice dice(seed);
    Queues queues(static_cast<std::uint32_t>(dice.between(1, 40)));
    std::vector<std::shared_ptr<Peer>> peers;
    for (int i = 0; i < 6; ++i) peers.push_back(std::make_shared<Peer>());
    std::set<std::shared_ptr<Work>> waiting;
    std::uint64_t weight = 0;
    for (int step = 0; step < 2'000; ++step) {
      const std::uint64_t roll = dice.below(10);
      if (roll < 6) {
        WorkTerms terms = terms_of(dice.below(5), static_cast<Priority>(dice.below(3)));
        terms.weight = static_cast<std::uint32_t>(dice.between(1, dice.percent(10) ? 90 : 3));
        weight += terms.weight;
        waiting.insert(queues.push(peers[dice.below(peers.size())], terms));
      } else if (roll < 8 && !waiting.empty()) {
        auto it = waiting.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(dice.below(waiting.size())));
        weight -= (*it)->terms().weight;
        CHECK(queues.batcher.remove(**it) == *it);
        waiting.erase(it);
      } else if (queues.close({dice.percent(30), Duration::max(), Duration::max(), {}})) {
        for (const auto& work : queues.batch.works) CHECK(waiting.erase(work) == 1);
        weight -= queues.batch.weight;
      } else {
        CHECK(waiting.empty());
      }
      CHECK(queues.batcher.works() == waiting.size());
      CHECK(queues.batcher.weight() == weight);
      CHECK((queues.batcher.oldest() == nullptr) == waiting.empty());
    }
    while (queues.close()) {
      for (const auto& work : queues.batch.works) CHECK(waiting.erase(work) == 1);
    }
    CHECK(waiting.empty());
    CHECK(queues.batcher.weight() == 0);
  }
}

}  // namespace
}  // namespace vecserve::net
