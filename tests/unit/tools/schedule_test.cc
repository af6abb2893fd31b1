// Checks tools/loadgen plans: the same bits everywhere, the right distribution and
// rate, bursts, traces and their refusals. Test thread only; seeds are fixed and
// shown.
#include "tools/loadgen/schedule.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <sstream>

#include "tests/support/temporary_folder.h"
#include "tools/loadgen/random.h"
#include "tools/report/correlation.h"

namespace {

using namespace vecserve;
using namespace vecserve::loadgen;

ScheduleSpec spec_of(const char* arrivals, double rate, double duration_s, std::uint64_t seed) {
  ScheduleSpec spec;
  REQUIRE(parse_arrivals(arrivals, spec).ok());
  spec.rate = rate;
  spec.duration_s = duration_s;
  spec.seed = seed;
  return spec;
}

TEST_CASE("schedule: a seed gives the same bits on every machine", "[loadgen]") {
  // Recorded once. A change of any of them breaks the comparability of all earlier runs.
  Random random(1);
  CHECK(random.next() == 3'777'882'419'325'163'568u);
  const auto poisson = plan_arrivals(spec_of("poisson", 1'000.0, 1.0, 1));
  CHECK(fingerprint(*poisson) == 3'011'897'729'208'271'612u);
  const auto again = plan_arrivals(spec_of("poisson", 1'000.0, 1.0, 1));
  CHECK(*poisson == *again);
  const auto other = plan_arrivals(spec_of("poisson", 1'000.0, 1.0, 2));
  CHECK(*poisson != *other);
}

TEST_CASE("schedule: Poisson gaps are exponential and keep the rate", "[loadgen]") {
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  const auto at = plan_arrivals(spec_of("poisson", 10'000.0, 10.0, seed));
  REQUIRE(at.ok());
  CHECK(std::abs(static_cast<double>(at->size()) - 1e5) < 4 * std::sqrt(1e5));
  std::vector<double> gaps;
  for (std::size_t i = 1; i < 5'000; ++i) {
    REQUIRE((*at)[i] >= (*at)[i - 1]);
    gaps.push_back(static_cast<double>((*at)[i] - (*at)[i - 1]));
  }
  CHECK(report::anderson_darling_exponential(gaps) < report::kAndersonDarling1);
  CHECK(at->back() < 10'000'000'000u);
}

TEST_CASE("schedule: von Neumann's exponential has the moments and tail of one", "[loadgen]") {
  Random random(12);
  double sum = 0.0;
  double squares = 0.0;
  int beyond = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.exponential();
    REQUIRE(x >= 0.0);
    sum += x;
    squares += x * x;
    beyond += x > 3.0 ? 1 : 0;
  }
  CHECK(sum / kCount == Approx(1.0).epsilon(0.01));
  CHECK(squares / kCount == Approx(2.0).epsilon(0.03));
  CHECK(static_cast<double>(beyond) / kCount == Approx(std::exp(-3.0)).epsilon(0.05));
  for (int i = 0; i < 1'000; ++i) REQUIRE(random.below(3) < 3);
}

TEST_CASE("schedule: constant gaps do not drift", "[loadgen]") {
  const auto at = plan_arrivals(spec_of("constant", 3'000.0, 100.0, 1));
  REQUIRE(at.ok());
  CHECK(at->size() == 300'000);
  CHECK(at->front() == 0);
  CHECK((*at)[299'997] == 99'999'000'000u);
}

TEST_CASE("schedule: bursts arrive together and keep the mean rate", "[loadgen]") {
  const auto at = plan_arrivals(spec_of("burst:50", 10'000.0, 20.0, 3));
  REQUIRE(at.ok());
  REQUIRE(at->size() % 50 == 0);
  for (std::size_t i = 0; i < at->size(); ++i) REQUIRE((*at)[i] == (*at)[i - i % 50]);
  CHECK(static_cast<double>(at->size()) == Approx(2e5).epsilon(0.07));
}

TEST_CASE("schedule: a trace is read, stretched to a rate, and refused by line", "[loadgen]") {
  const vecserve::test::TemporaryFolder folder;
  const std::string path = folder.at("trace");
  std::ofstream(path) << "# seconds\n0.0\n\n0.5\n0.5\n2.0\n";
  auto spec = spec_of(("trace:" + path).c_str(), 0.0, 10.0, 1);
  CHECK(*plan_arrivals(spec) ==
        std::vector<std::uint64_t>{0, 500'000'000, 500'000'000, 2'000'000'000});
  spec.rate = 4.0;  // four requests in two seconds were two a second
  CHECK(plan_arrivals(spec)->back() == 1'000'000'000);
  spec.duration_s = 0.9;
  CHECK(plan_arrivals(spec)->size() == 3);
  std::stringstream falling("1.0\n0.5\n");
  CHECK(read_trace(falling).status().field() == "line 2");
  std::stringstream words("1.0\nsoon\n");
  CHECK(read_trace(words).status().field() == "line 2");
  CHECK_FALSE(parse_arrivals("trace:/nowhere/at/all", spec).ok());
}

TEST_CASE("schedule: what cannot be planned is refused with the field", "[loadgen]") {
  ScheduleSpec spec;
  CHECK(parse_arrivals("often", spec).field() == "arrivals");
  CHECK(parse_arrivals("burst:0", spec).field() == "arrivals");
  CHECK(parse_arrivals("burst:x", spec).field() == "arrivals");
  spec.rate = 0.0;
  CHECK(plan_arrivals(spec).status().field() == "rate");
  spec.rate = std::nan("");
  CHECK(plan_arrivals(spec).status().field() == "rate");
  spec.rate = 1e6;
  spec.duration_s = 1e4;
  CHECK(plan_arrivals(spec).status().field() == "duration");
  spec.duration_s = -1.0;
  CHECK(plan_arrivals(spec).status().field() == "duration");
}

TEST_CASE("schedule: kinds follow their weights", "[loadgen]") {
  const auto kinds = plan_kinds({90, 0, 10}, 100'000, 5);
  std::array<int, 3> counts = {};
  for (const std::uint8_t kind : kinds) ++counts.at(kind);
  CHECK(counts[1] == 0);
  CHECK(counts[2] == Approx(10'000).margin(400));
  CHECK(plan_kinds({}, 3, 1) == std::vector<std::uint8_t>{0, 0, 0});
}

}  // namespace
