// Checks tools/loadgen/verdict: each rule alone, on summaries made by hand. Test
// thread only. Always holds: a summary in which nothing is wrong is VALID without a
// reason.
#include "tools/loadgen/verdict.h"

#include <catch2/catch.hpp>

namespace {

using namespace vecserve::loadgen;

Summary good() {
  Summary summary;
  summary.planned = summary.sent = summary.measured = 10'000;
  summary.outcomes[static_cast<std::size_t>(Outcome::ok)] = 10'000;
  summary.adherence = 1.0;
  summary.response.record_many(5'000'000, 10'000);
  summary.lag.record_many(1'000, 10'000);
  summary.noise.record_many(1'000, 10'000);
  return summary;
}

void check(const Summary& summary, Verdict verdict, const std::string& word) {
  CAPTURE(word);
  const Judgement judgement = judge(summary);
  CHECK(judgement.verdict == verdict);
  REQUIRE_FALSE(judgement.reasons.empty());
  CHECK(judgement.reasons.front().find(word) != std::string::npos);
}

TEST_CASE("verdict: nothing wrong is valid", "[loadgen]") {
  const Judgement judgement = judge(good());
  CHECK(judgement.verdict == Verdict::valid);
  CHECK(judgement.reasons.empty());
}

TEST_CASE("verdict: each rule gives its verdict and its reason", "[loadgen]") {
  Summary summary = good();
  summary.adherence = 0.998;
  check(summary, Verdict::suspect, "on time");
  summary.adherence = 0.94;
  check(summary, Verdict::invalid, "on time");
  summary = good();
  summary.sent = 9'000;
  check(summary, Verdict::invalid, "planned");
  summary = good();
  summary.clocks_differ = 0.02;
  check(summary, Verdict::invalid, "clock");
  summary = good();
  summary.outcomes[static_cast<std::size_t>(Outcome::failed)] = 200;
  check(summary, Verdict::suspect, "failed");
  summary = good();
  summary.lag.record_many(1'000'000, 1'000);
  check(summary, Verdict::suspect, "own delay");
  summary = good();
  summary.blocked.record_many(1'000'000, 1'000);
  check(summary, Verdict::suspect, "held the sender");
  summary = good();
  summary.noise.record_many(2'000'000, 1'000);
  check(summary, Verdict::suspect, "noise");
  summary = good();
  summary.growth = 7.0;
  check(summary, Verdict::suspect, "grew");
  summary = good();
  summary.measured = 0;
  check(summary, Verdict::invalid, "no request was measured");
  summary = good();
  summary.response.clear();
  check(summary, Verdict::invalid, "no request was answered");
}

TEST_CASE("verdict: a closed loop is valid but says what it is", "[loadgen]") {
  Summary summary = good();
  summary.closed_loop = true;
  check(summary, Verdict::valid, "closed loop");
}

}  // namespace
