// The decisions about second copies, one by one on a clock of the test's own: who gets a call, when
// a second copy is due, and everything that forbids one. Whole runs are in simulation_test.
// Main thread; no real time.
#include "net/hedge_policy.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

using namespace vecserve::net;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

TimePoint at_us(std::int64_t us) {
  return TimePoint(microseconds(us));
}

HedgePolicyOptions with_replicas(std::uint32_t replicas) {
  HedgePolicyOptions options;
  options.replicas = replicas;
  return options;
}

HedgePolicyOptions three() {
  return with_replicas(3);
}

HedgePolicyOptions two() {
  return with_replicas(2);
}

// 600 calls of 1 ms, one after the other, so that the delay is known; returns the time after them.
std::int64_t teach(HedgePolicy& policy, double waited_us = 0.0) {
  std::int64_t now = 1'000'000;
  for (int i = 0; i < 600; ++i) {
    HedgedCall call = policy.begin(at_us(now), 0, true);
    now += 1'000;
    policy.answered(call, 0, at_us(now),
                    {microseconds(static_cast<std::int64_t>(waited_us)), microseconds(900), 1.0});
  }
  return now + 200'000;
}

// 2,000 calls of which half waited, so that the replicas are not idle, served in up to 4 ms.
std::int64_t teach_busy(HedgePolicy& policy) {
  std::int64_t now = 1'000'000;
  for (int i = 0; i < 2'000; ++i) {
    HedgedCall call = policy.begin(at_us(now), 0, true);
    now += 1'000;
    const microseconds served(i % 100 == 0 ? 4'000 : 900);
    policy.answered(call, 0, at_us(now), {microseconds(i % 2 * 5'000), served, 1.0});
  }
  return now + 200'000;
}

// Asks whenever the call wants to be asked, from `from` on; when it got its second copy.
std::optional<TimePoint> ask_until_hedged(HedgePolicy& policy, HedgedCall& call, TimePoint from) {
  TimePoint at = from;
  for (int i = 0; i < 100; ++i) {
    if (policy.hedge(call, at) == HedgeStep::send) return at;
    if (!call.hedge_at || *call.hedge_at <= at) return std::nullopt;
    at = *call.hedge_at;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("hedge policy: there is no second copy while it learns, then one at the delay") {
  HedgePolicy policy(three());
  HedgedCall first = policy.begin(at_us(0), 0, true);
  CHECK_FALSE(first.hedge_at.has_value());
  CHECK(policy.stats().learning == 1);
  policy.answered(first, 0, at_us(1'000), {});
  const std::int64_t now = teach(policy);
  HedgedCall call = policy.begin(at_us(now), 0, true);
  REQUIRE(policy.delay(0).has_value());
  REQUIRE(call.hedge_at.has_value());
  // Twice the median is the least: a call at p95 of steady calls is not late.
  const std::optional<TimePoint> hedged = ask_until_hedged(policy, call, *call.hedge_at);
  REQUIRE(hedged.has_value());
  CHECK(*hedged - at_us(now) >= microseconds(1'980));
  CHECK(*hedged - at_us(now) <= microseconds(2'050));
  CHECK(call.copies[1].replica != call.copies[0].replica);
  CHECK(call.copy_count == 2);
  CHECK(policy.hedge(call, at_us(now + 10'000)) == HedgeStep::wait);  // two copies at most
}

TEST_CASE("hedge policy: writes and lone replicas get one copy") {
  HedgePolicy policy(three());
  const std::int64_t now = teach(policy);
  HedgedCall write = policy.begin(at_us(now), 0, false);
  CHECK_FALSE(write.hedge_at.has_value());
  CHECK(policy.hedge(write, at_us(now + 50'000)) == HedgeStep::wait);

  HedgePolicyOptions alone;
  alone.replicas = 1;
  HedgePolicy lone(alone);
  HedgedCall call = lone.begin(at_us(teach(lone)), 0, true);
  CHECK(call.copies[0].replica == 0);
  CHECK_FALSE(call.hedge_at.has_value());
}

TEST_CASE("hedge policy: nothing is hedged after a refusal, nor when calls find replicas busy") {
  HedgePolicy policy(three());
  const std::int64_t now = teach(policy);
  HedgedCall refused = policy.begin(at_us(now), 0, true);
  policy.refused(refused, 0, at_us(now + 100));
  HedgedCall call = policy.begin(at_us(now + 200), 0, true);
  CHECK(policy.hedge(call, at_us(now + 3'000)) == HedgeStep::wait);
  CHECK(policy.stats().loaded == 1);
  // It asks again when the pause is over, and is counted once; so is one that asks once more.
  CHECK(call.hedge_at == at_us(now + 100) + HedgePolicyOptions().refusal_pause);
  CHECK(policy.hedge(call, at_us(now + 100'000)) == HedgeStep::wait);
  CHECK(policy.stats().loaded == 1);
  CHECK(policy.hedge(call, *call.hedge_at) == HedgeStep::send);
  policy.answered(call, 1, at_us(now + 201'000), {});
  policy.loser_ended(call, 0, at_us(now + 201'000), LoserState::queued);
  // The pause over, one that comes now may be at once.
  HedgedCall later = policy.begin(at_us(now + 400'000), 0, true);
  CHECK(policy.hedge(later, at_us(now + 403'000)) == HedgeStep::send);

  HedgePolicy busy(three());
  std::int64_t then = 0;
  for (int i = 0; i < 10; ++i) then = teach(busy, 5'000.0);
  CHECK(busy.load() > 0.92);
  HedgedCall waiting = busy.begin(at_us(then), 0, true);
  CHECK(busy.hedge(waiting, at_us(then + 50'000)) == HedgeStep::wait);
  CHECK(waiting.hedge_at == at_us(then + 50'000) + HedgePolicyOptions().delay_max);
}

TEST_CASE("hedge policy: second copies and retries come out of one budget") {
  HedgePolicyOptions options = three();
  options.bucket_max = 4.0;
  HedgePolicy policy(options);
  const std::int64_t now = teach(policy);  // fills the bucket
  int retries = 0;
  while (policy.may_retry()) ++retries;
  CHECK(retries == 4);
  HedgedCall call = policy.begin(at_us(now), 0, true);
  CHECK(policy.hedge(call, at_us(now + 50'000)) == HedgeStep::wait);
  CHECK(policy.stats().no_budget == 2);  // the last retry and this
  // Twenty calls at 5 % earn one.
  for (int i = 0; i < 20; ++i) {
    HedgedCall earns = policy.begin(at_us(now + 100), 0, false);
    policy.answered(earns, 0, at_us(now + 200), {});
  }
  CHECK(policy.may_retry());
  CHECK_FALSE(policy.may_retry());
}

TEST_CASE(
    "hedge policy: a silent replica gets no new calls, also after its losers were cancelled") {
  HedgePolicy policy(three());
  std::int64_t now = teach(policy);
  HedgedCall stuck = policy.begin(at_us(now), 0, true);
  const std::uint32_t silent = stuck.copies[0].replica;
  now += 5'000;
  REQUIRE(policy.hedge(stuck, at_us(now)) == HedgeStep::send);
  policy.answered(stuck, 1, at_us(now + 500), {});
  policy.given_up(stuck, 0, at_us(now + 500));
  // Nobody waits for it any more, the others have a call each: it still is the last choice, until
  // it says what became of the cancelled one.
  for (int i = 0; i < 20; ++i) {
    HedgedCall call = policy.begin(at_us(now + 600 + i), 0, true);
    CHECK(call.copies[0].replica != silent);
    policy.answered(call, 0, at_us(now + 700 + i), {});
  }
  policy.loser_ended(stuck, 0, at_us(now + 99'000), LoserState::running);
  CHECK(policy.stats().cancelled_running == 1);
  int tried = 0;
  for (int i = 0; i < 100; ++i) {
    HedgedCall call = policy.begin(at_us(now + 200'000 + i * 20'000), 0, true);
    tried += call.copies[0].replica == silent ? 1 : 0;
    policy.answered(call, 0, at_us(now + 200'005 + i * 20'000), {});
  }
  CHECK(tried > 0);
}

TEST_CASE("hedge policy: answers and cancels that come twice count once") {
  HedgePolicy policy(three());
  const std::int64_t now = teach(policy);
  HedgedCall call = policy.begin(at_us(now), 0, true);
  REQUIRE(policy.hedge(call, at_us(now + 3'000)) == HedgeStep::send);
  policy.answered(call, 1, at_us(now + 3'100), {});
  policy.answered(call, 1, at_us(now + 3'200), {});
  policy.given_up(call, 0, at_us(now + 3'200));
  policy.answered(call, 0, at_us(now + 3'300), {});
  policy.refused(call, 0, at_us(now + 3'300));
  CHECK(policy.stats().hedge_wins == 1);
  // The late refusal of a closed copy stops nothing.
  HedgedCall next = policy.begin(at_us(now + 10'000), 0, true);
  CHECK(policy.hedge(next, at_us(now + 13'000)) == HedgeStep::send);
}

TEST_CASE("hedge policy: kinds of calls that differ in cost have delays of their own") {
  HedgePolicyOptions options = three();
  options.cost_classes = 2;
  HedgePolicy policy(options);
  const std::int64_t now = teach(policy);
  CHECK_FALSE(policy.begin(at_us(now), 1, true).hedge_at.has_value());
  CHECK(policy.delay(0).has_value());
  CHECK_FALSE(policy.delay(1).has_value());
  CHECK_FALSE(policy.delay(7).has_value());
}

TEST_CASE("hedge policy: what runs is hedged late, what waits behind a silent one at once") {
  HedgePolicy policy(three());
  const std::int64_t now = teach_busy(policy);
  REQUIRE(policy.load() > 0.45);
  // Two calls at least to each replica: the oldest runs, the others wait.
  std::vector<HedgedCall> calls;
  while (calls.size() < 12) calls.push_back(policy.begin(at_us(now), 0, true));
  HedgedCall runs = calls.front();
  // The others' replicas answer; the one of the first call stays silent.
  for (HedgedCall& call : calls) {
    if (call.copies[0].replica == runs.copies[0].replica) continue;
    policy.answered(call, 0, at_us(now + 1'000), {microseconds(0), microseconds(900), 1.0});
  }
  // Those that wait at the silent one move on before they are late.
  const std::int64_t early = now + 1'900;
  REQUIRE(microseconds(1'900) < *policy.delay(0));
  std::uint64_t moved = 0;
  for (HedgedCall& call : calls) {
    const bool waits = call.copies[0].replica == runs.copies[0].replica &&
                       call.copies[0].number >= runs.copies[0].number + 2;
    if (!waits) continue;
    CHECK(policy.hedge(call, at_us(early)) == HedgeStep::take_back);
    CHECK(call.copy_count == 1);
    policy.loser_ended(call, 0, at_us(early), LoserState::queued);
    const std::optional<std::uint32_t> next = policy.retry(call, at_us(early));
    REQUIRE(next.has_value());
    CHECK(*next != runs.copies[0].replica);
    ++moved;
  }
  CHECK(moved >= 1);
  // The one that runs is asked again and again, until hardly any takes that long.
  const std::optional<TimePoint> hedged = ask_until_hedged(policy, runs, at_us(now + 2'100));
  REQUIRE(hedged.has_value());
  CHECK(*hedged >= at_us(now + 3'900));
  CHECK(policy.stats().hedges == moved + 1);
}

TEST_CASE("hedge policy: what waits at a replica that answers is not moved before it is late") {
  HedgePolicy policy(three());
  const std::int64_t now = teach(policy, 500.0);
  std::vector<HedgedCall> calls;
  while (calls.size() < 12) calls.push_back(policy.begin(at_us(now), 0, true));
  // Each replica answers its oldest; the newest of each still waits.
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    for (HedgedCall& call : calls) {
      if (call.copies[0].replica != replica) continue;
      policy.answered(call, 0, at_us(now + 1'800), {microseconds(0), microseconds(900), 1.0});
      break;
    }
  }
  HedgedCall& last = calls.back();
  REQUIRE(last.copies[0].open);
  CHECK(policy.hedge(last, at_us(now + 1'900)) == HedgeStep::wait);
  REQUIRE(last.hedge_at.has_value());
  CHECK(*last.hedge_at > at_us(now + 1'900));
}

TEST_CASE("hedge policy: a call that moved on is in line by when it began, not by when it moved") {
  HedgePolicy policy(two());
  const std::int64_t now = teach_busy(policy);
  // One call is stuck at a replica and moves on to the other, where one that began later runs.
  HedgedCall stuck = policy.begin(at_us(now), 0, true);
  HedgedCall other = policy.begin(at_us(now + 4'000), 0, true);
  REQUIRE(other.copies[0].replica != stuck.copies[0].replica);
  const std::optional<TimePoint> moved = ask_until_hedged(policy, stuck, at_us(now + 4'000));
  REQUIRE(moved.has_value());
  REQUIRE(*moved < at_us(now + 5'500));
  policy.loser_ended(stuck, 0, *moved, LoserState::queued);
  // That one falls silent: the call that is first in line counts as the one that runs, and is not
  // hurried; the one that came later counts as waiting, and moves on at once.
  CHECK(policy.hedge(other, at_us(now + 6'100)) == HedgeStep::take_back);
}

TEST_CASE("hedge policy: a call that is not taken back soon gets a second copy all the same") {
  HedgePolicyOptions options = two();
  options.bucket_max = 1.5;
  HedgePolicy policy(options);
  const std::int64_t now = teach_busy(policy);
  HedgedCall stuck = policy.begin(at_us(now), 0, true);
  HedgedCall other = policy.begin(at_us(now), 0, true);
  HedgedCall waits = policy.begin(at_us(now + 1), 0, true);
  const bool behind_stuck = waits.copies[0].replica == stuck.copies[0].replica;
  policy.answered(behind_stuck ? other : stuck, 0, at_us(now + 900), {{}, microseconds(900), 1.0});
  const TimePoint asked = at_us(now + 2'500);
  REQUIRE(policy.hedge(waits, asked) == HedgeStep::take_back);
  // Its server says nothing for as long as serving a call takes.
  REQUIRE(waits.hedge_at.has_value());
  CHECK(*waits.hedge_at > asked);
  CHECK(*waits.hedge_at - asked <= microseconds(1'100));
  CHECK(policy.hedge(waits, *waits.hedge_at) == HedgeStep::send);
  CHECK(waits.copy_count == 2);
  CHECK(policy.stats().hedges == 1);
  // 1.5 - 1 is left, and 0.75 come back when the first copy is taken back after all.
  CHECK_FALSE(policy.may_retry());
  policy.loser_ended(waits, 0, at_us(now + 9'000), LoserState::queued);
  CHECK(policy.may_retry());
  CHECK(policy.stats().cancelled_queued == 1);
}

TEST_CASE("hedge policy: a call that moves costs a quarter of a token, when it was taken back") {
  HedgePolicyOptions options = two();
  options.bucket_max = 1.0;
  HedgePolicy policy(options);
  const std::int64_t now = teach_busy(policy);
  std::vector<HedgedCall> calls;
  while (calls.size() < 4) calls.push_back(policy.begin(at_us(now), 0, true));
  HedgedCall& last = calls.back();
  // The other replica answers its two.
  for (HedgedCall& call : calls) {
    if (call.copies[0].replica == last.copies[0].replica) continue;
    policy.answered(call, 0, at_us(now + 900), {{}, microseconds(900), 1.0});
  }
  REQUIRE(policy.hedge(last, at_us(now + 2'500)) == HedgeStep::take_back);
  policy.loser_ended(last, 0, at_us(now + 2'600), LoserState::queued);
  REQUIRE(policy.retry(last, at_us(now + 2'600)).has_value());
  CHECK(policy.stats().hedges == 1);
  CHECK(policy.stats().retries == 0);
  CHECK_FALSE(policy.may_retry());  // 0.75 are left
  for (int i = 0; i < 6; ++i) {
    HedgedCall earns = policy.begin(at_us(now + 3'000), 0, false);
    policy.answered(earns, 0, at_us(now + 3'100), {});
  }
  CHECK(policy.may_retry());
}

TEST_CASE("hedge policy: of those that answer the better of two is asked, a silent one never") {
  HedgePolicy policy(three());
  std::int64_t now = teach(policy);
  HedgedCall stuck = policy.begin(at_us(now), 0, true);
  now += 5'000;
  // Two answer: with both drawn each time, calls go to the one with fewer.
  std::vector<HedgedCall> calls;
  std::vector<int> sent(3, 0);
  for (int i = 0; i < 40; ++i) {
    calls.push_back(policy.begin(at_us(now), 0, true));
    ++sent[calls.back().copies[0].replica];
  }
  CHECK(sent[stuck.copies[0].replica] == 0);
  std::sort(sent.begin(), sent.end());
  CHECK(sent == std::vector<int>{0, 20, 20});
}

TEST_CASE("hedge policy: the first replies tell the load, not only the five hundredth") {
  HedgePolicy policy(three());
  std::int64_t now = 1'000'000;
  for (int i = 0; i < 60; ++i) {
    HedgedCall call = policy.begin(at_us(now), 0, true);
    now += 1'000;
    policy.answered(call, 0, at_us(now), {microseconds(500), microseconds(900), 1.0});
  }
  CHECK(policy.load() == Approx(1.0));
}

TEST_CASE("hedge policy: a copy taken back before it ran gives back most of its token") {
  HedgePolicyOptions options = three();
  options.bucket_max = 1.5;
  HedgePolicy policy(options);
  const std::int64_t now = teach(policy);  // fills the bucket
  HedgedCall call = policy.begin(at_us(now), 0, true);
  REQUIRE(policy.hedge(call, at_us(now + 5'000)) == HedgeStep::send);
  policy.loser_ended(call, 0, at_us(now + 5'100), LoserState::queued);
  CHECK(policy.stats().cancelled_queued == 1);
  CHECK(call.taken_back);
  CHECK_FALSE(call.copies[0].open);
  // 1.5 - 1 + 0.75: one more, and not two.
  CHECK(policy.may_retry());
  CHECK_FALSE(policy.may_retry());
  // The second copy failed: the one taken back for its sake has a third to its credit, once.
  policy.failed(call, 1);
  CHECK(policy.retry(call, at_us(now + 5'200)).has_value());
  CHECK(call.copy_count == 3);
  policy.failed(call, 2);
  CHECK_FALSE(policy.retry(call, at_us(now + 5'300)).has_value());
}

TEST_CASE("hedge policy: in a crowd nothing is hedged, and nobody asks often") {
  HedgePolicy policy(three());
  const std::int64_t now = teach(policy);
  std::vector<HedgedCall> calls;
  for (int i = 0; i < 4'000; ++i) calls.push_back(policy.begin(at_us(now + i), 0, true));
  const std::uint64_t held_back = policy.stats().loaded;
  const TimePoint late = at_us(now + 1'000'000);
  for (HedgedCall& call : calls) {
    CHECK(policy.hedge(call, late) == HedgeStep::wait);
    REQUIRE(call.hedge_at.has_value());
    CHECK(*call.hedge_at >= late + HedgePolicyOptions().delay_max);
  }
  CHECK(policy.stats().loaded == held_back + calls.size());
  // When most are answered the last one counts again.
  TimePoint done = late;
  for (std::size_t i = 0; i + 1 < calls.size(); ++i) {
    done += microseconds(1);
    policy.answered(calls[i], 0, done, {microseconds(0), microseconds(900), 1.0});
  }
  CHECK(ask_until_hedged(policy, calls.back(), done).has_value());
}

TEST_CASE("hedge policy: a late call asks again when no other replica was any better") {
  HedgePolicy policy(two());
  const std::int64_t now = teach(policy);
  // Both are silent for equally long.
  HedgedCall first = policy.begin(at_us(now), 0, true);
  HedgedCall second = policy.begin(at_us(now), 0, true);
  REQUIRE(first.copies[0].replica != second.copies[0].replica);
  CHECK(policy.hedge(first, at_us(now + 4'000)) == HedgeStep::wait);
  CHECK(policy.stats().loaded == 1);
  REQUIRE(first.hedge_at.has_value());
  CHECK(*first.hedge_at > at_us(now + 4'000));
  CHECK(policy.hedge(first, *first.hedge_at) == HedgeStep::wait);
  CHECK(policy.stats().loaded == 1);  // counted once
  // The other answers: now there is one that is better.
  policy.answered(second, 0, at_us(now + 8'000), {microseconds(0), microseconds(900), 1.0});
  REQUIRE(first.hedge_at.has_value());
  CHECK(policy.hedge(first, at_us(now + 8'100)) == HedgeStep::send);
}
