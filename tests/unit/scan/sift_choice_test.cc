// Checks engine/scan/sift_choice: few wanted rows among many are sifted, many or rare ones are not.
// Single-threaded. Part of unit_scan, which links that layer and what is below it, nothing above.
// Always holds: blocks are counted only, never read.
#include "engine/scan/sift_choice.h"

#include <catch2/catch.hpp>
#include <vector>

namespace {

using namespace vecserve::engine;

bool choice(std::uint32_t rows, std::uint32_t eligible, std::uint32_t want, double share_max) {
  static const std::uint64_t word = 1;
  const std::vector<ScanBlock> blocks{{nullptr, rows / 2}, {nullptr, rows - rows / 2}};
  ScanMask mask;
  // All that is eligible in the second block; the first has no mask at all.
  mask.words = {nullptr, &word};
  mask.eligible = {1'000'000, eligible};
  std::vector<ScanQuery> queries(3);
  queries[1].want = want;
  queries[2].want = 1;
  ScanRequest request;
  request.blocks = blocks;
  request.queries = queries;
  return worth_sifting(request, mask, 1, 2, share_max);
}

}  // namespace

TEST_CASE("sift choice: few wanted rows among many eligible ones", "[scan]") {
  CHECK(choice(60'000, 30'000, 10, 0.06));
  CHECK(choice(60'000, 30'000, 225, 0.06));
  CHECK_FALSE(choice(60'000, 30'000, 226, 0.06));
  CHECK(choice(60'000, 30'000, 226, 0.35));
}

TEST_CASE("sift choice: not for filters that keep few rows", "[scan]") {
  CHECK(choice(60'000, 7'500, 10, 0.06));
  CHECK_FALSE(choice(60'000, 7'499, 10, 0.06));
  CHECK_FALSE(choice(60'000, 0, 1, 0.35));
}

TEST_CASE(
    "sift choice: sketches that let too much pass are given up, once there is enough to judge",
    "[scan]") {
  Sifting sifting;
  CHECK_FALSE(sifting.on());
  sifting.reset(true);
  CHECK(sifting.on());
  sifting.note(2'047, 2'047, 1);
  CHECK(sifting.on());  // too early to say
  sifting.note(1, 0, 1);
  CHECK_FALSE(sifting.on());
  sifting.reset(true);
  sifting.note(4'096, 1'433, 1);  // 35 % and no more
  CHECK(sifting.on());
  sifting.note(10, 10, 1);
  CHECK_FALSE(sifting.on());
  sifting.reset(true);
  sifting.note(4'096, 4'096, 3);  // rows of each of three queries: too few yet
  CHECK(sifting.on());
  sifting.reset(false);
  sifting.note(4'096, 0, 1);
  CHECK_FALSE(sifting.on());
}
