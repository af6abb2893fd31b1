// Checks the statistics of tools/loadgen on simulated servers whose truth is known: early stopping,
// the search, and comparisons. Test thread only; seeds are fixed. bench knee runs the same at
// length.
#include "tools/loadgen/knee.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tools/loadgen/knee_trial.h"
#include "tools/loadgen/mix.h"

namespace {

using namespace vecserve;
using namespace vecserve::loadgen;

TEST_CASE("knee: targets are read with their units", "[loadgen]") {
  CHECK(parse_slo("p99=5ms")->limit_ns == 5'000'000);
  CHECK(parse_slo("p99.9=800us")->quantile == Approx(0.999));
  CHECK(parse_slo("p50=1.5s")->limit_ns == 1'500'000'000);
  for (const char* text :
       {"", "p99", "99=5ms", "p99=5", "p0=1ms", "p100=1ms", "p99=-1ms", "p99=5 ms", "p99=1e30s"}) {
    CAPTURE(text);
    CHECK(parse_slo(text).status().field() == "slo");
  }
}

TEST_CASE("knee: looks are due at halves of halves of the samples", "[loadgen]") {
  CHECK(look_at(6'400, 0) == 100);
  CHECK(look_at(6'400, kLooks - 1) == 6'400);
  CHECK(decide({}, {}) == Decision::open);
  for (const double quantile : {0.9, 0.99}) {
    const Slo slo{quantile, 1'000};
    const std::uint64_t fewest = samples_to_decide(slo);
    CHECK(decide(std::vector<std::uint64_t>(fewest + 2, 1), slo) == Decision::pass);
    CHECK(decide(std::vector<std::uint64_t>(fewest * 9 / 10, 1), slo) == Decision::open);
  }
}

TEST_CASE("knee: early stopping passes and fails what is clear, and not what is not", "[loadgen]") {
  const Slo slo{0.99, 1'000};
  std::vector<std::uint64_t> fast(459 * 3, 1);
  CHECK(decide(fast, slo) == Decision::pass);
  CHECK(decide(std::span(fast).first(600), slo) == Decision::open);
  const std::vector<std::uint64_t> slow(600, 2'000);
  CHECK(decide(slow, slo) == Decision::fail);
  CHECK(decide(std::span(slow).first(kSamplesMin - 1), slo) == Decision::open);
}

TEST_CASE("knee: the search finds the knee of a simulated server", "[loadgen]") {
  const KneeTrialOptions options{.samples_max = VECSERVE_SANITIZED ? 100'000u : 500'000u};
  for (const std::uint64_t seed : {1u, 2u}) {
    const KneeTrial trial = try_knee(options, seed);
    CAPTURE(seed, trial.found, trial.truth);
    CHECK(trial.steps <= 12);
    CHECK(std::abs(trial.found / trial.truth - 1.0) < (VECSERVE_SANITIZED ? 0.08 : 0.03));
  }
}

TEST_CASE("knee: a search without an end says so", "[loadgen]") {
  KneeSearch::Options options;
  options.rate_first = 100.0;
  options.rate_max = 1'000.0;
  KneeSearch up(options);
  while (!up.done()) up.add({up.next_rate(), Decision::pass, 0.0, 1'000, 1});
  CHECK_FALSE(up.enclosed());
  CHECK(up.passed() == 1'000.0);
  KneeSearch down(options);
  while (!down.done()) down.add({down.next_rate(), Decision::fail, 1.0, 1'000, 1});
  CHECK(down.passed() == 0.0);
  CHECK(down.knee() == 0.0);
}

TEST_CASE("compare: the same is not called different, and a shift is found", "[loadgen]") {
  int alarms = 0;
  int found = 0;
  constexpr int kRounds = VECSERVE_SANITIZED ? 8 : 40;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    alarms += try_compare(20'000, 0.5, 1.0, round) ? 1 : 0;
    found += try_compare(VECSERVE_SANITIZED ? 50'000 : 100'000, 0.0, 1.05, round) ? 1 : 0;
  }
  CHECK(alarms <= kRounds / 8);
  CHECK(found >= kRounds - kRounds / 8);
}

TEST_CASE("mix: kinds and weights are read, and nonsense is refused", "[loadgen]") {
  const auto mix = parse_mix("search=90,upsert=8,get=2");
  REQUIRE(mix.ok());
  CHECK(mix->weights() == std::vector<std::uint32_t>{90, 8, 0, 2});
  CHECK(mix->has(Kind::upsert));
  CHECK_FALSE(mix->has(Kind::erase));
  for (const char* text : {"", "search", "search=0", "look=1", "search=-1", "search=1x"}) {
    CAPTURE(text);
    CHECK(parse_mix(text).status().field() == "mix");
  }
}

}  // namespace
