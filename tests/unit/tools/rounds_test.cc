// Rounds on the rig, briefly: both kinds run as often, what they met is put together, and work for
// nobody is only the hedged one's. What hedging gains is the bench's affair. Main thread, and the
// rig's.
#include "tools/hedge/rounds.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/brief_rig.h"

using namespace vecserve;
using namespace vecserve::hedge;

TEST_CASE("rounds: a sum holds the calls of all its runs in order, and a median of each") {
  const Result<RigRun> first = run_rig(test::brief_rig(0.3, 0.1));
  RigOptions other = test::brief_rig(0.3, 0.1);
  other.seed = 2;
  const Result<RigRun> second = run_rig(other);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  RoundsSum sum;
  CHECK(sum.at(0.5) == 0.0);
  sum.add(*first);
  sum.add(*second);
  std::vector<double> all = first->latencies_us();
  const std::vector<double> more = second->latencies_us();
  all.insert(all.end(), more.begin(), more.end());
  std::sort(all.begin(), all.end());
  CHECK(sum.latencies_us == all);
  CHECK(sum.at(0.0) == all.front());
  REQUIRE(sum.rounds_us.size() == 2);
  CHECK(sum.rounds_us[0].size() == first->latencies_us().size());
  CHECK(sum.rounds_us[1].size() == more.size());
  CHECK(std::is_sorted(sum.rounds_us[1].begin(), sum.rounds_us[1].end()));
  CHECK(sum.useful_us == first->useful_us() + second->useful_us());
  CHECK(sum.wasted_us == first->wasted_us() + second->wasted_us());
  CHECK(sum.stats.calls == first->stats.calls + second->stats.calls);
  CHECK(sum.losers == first->losers() + second->losers());
  CHECK(sum.cancelled_queued_share() + sum.cancelled_running_share() <= 1.0);
}

TEST_CASE("rounds: both kinds take part in each, and only the hedged one works for nobody") {
  const Result<Rounds> rounds = run_rounds(test::brief_rig(0.3, 0.1), {2, 2, 0.0});
  REQUIRE(rounds.ok());
  CHECK(rounds->median_ratios().size() == 2);
  CHECK(rounds->plain.stats.hedges == 0);
  CHECK(rounds->plain.extra_work() == 0.0);
  CHECK(rounds->plain.useful_us > 0.0);
  CHECK(rounds->hedged.useful_us > 0.0);
  CHECK(rounds->load == Approx(0.2));
  CHECK(rounds->service_us > 1'000.0);
  CHECK(rounds->replicas == "real servers, timed device");
}

TEST_CASE("rounds: go on while the gain is less sure than wanted, up to the most") {
  const Result<Rounds> sure = run_rounds(test::brief_rig(0.3, 0.1), {1, 3, 1.0});
  REQUIRE(sure.ok());
  CHECK(sure->median_ratios().size() == 1);
  // No two rounds are alike to the nanosecond.
  const Result<Rounds> unsure = run_rounds(test::brief_rig(0.3, 0.1), {2, 3, 0.0});
  REQUIRE(unsure.ok());
  CHECK(unsure->median_ratios().size() == 3);
  CHECK(unsure->p999_interval().low <= unsure->p999_interval().high);
  const Result<Rounds> fewest = run_rounds(test::brief_rig(0.3, 0.1), {2, 1, 0.0});
  REQUIRE(fewest.ok());
  CHECK(fewest->median_ratios().size() == 2);
}
