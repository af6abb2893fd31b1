// Checks engine/request_log: what is remembered, what is taken back, and which go first.
// Single-threaded.
// Always holds: outcomes differ from id to id, so that a mix-up shows.
#include "engine/request_log.h"

#include <catch2/catch.hpp>
#include <new>

#include "engine/base/limits.h"
#include "tests/support/failing_new.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

RequestOutcome outcome(std::uint64_t n) {
  return {n, n + 1000};
}

TEST_CASE("request log: finds what was added and nothing else", "[engine]") {
  RequestLog log;
  CHECK(log.find({1, 1}) == std::nullopt);
  log.add({1, 1}, outcome(5));
  log.add({1, 2}, outcome(6));
  log.add({2, 1}, outcome(7));
  CHECK(log.find({1, 1}) == outcome(5));
  CHECK(log.find({1, 2}) == outcome(6));
  CHECK(log.find({2, 1}) == outcome(7));
  CHECK(log.find({2, 2}) == std::nullopt);
  CHECK(log.find({}) == std::nullopt);
  CHECK(log.size() == 3);
}

TEST_CASE("request log: the first outcome of an id stays", "[engine]") {
  RequestLog log;
  log.add({1, 1}, outcome(5));
  log.add({1, 1}, outcome(6));
  CHECK(log.size() == 1);
  CHECK(log.find({1, 1}) == outcome(5));
}

TEST_CASE("request log: additions are taken back in any order, the rest stays", "[engine]") {
  RequestLog log;
  for (std::uint64_t i = 1; i <= 10; ++i) log.add({1, i}, outcome(i));
  log.remove({1, 9});
  log.remove({1, 10});
  log.remove({1, 3});
  log.remove({5, 5});  // never added
  CHECK(log.size() == 7);
  CHECK(log.find({1, 9}) == std::nullopt);
  CHECK(log.find({1, 3}) == std::nullopt);
  CHECK(log.find({1, 8}) == outcome(8));
  log.add({1, 9}, outcome(90));
  CHECK(log.find({1, 9}) == outcome(90));
}

TEST_CASE("request log: trim forgets the oldest beyond the limit, add alone nothing", "[engine]") {
  RequestLog log;
  const std::uint64_t more = limits::request_ids_max + 3ull;
  for (std::uint64_t i = 1; i <= more; ++i) log.add({1, i}, outcome(i));
  CHECK(log.size() == more);
  log.trim();
  CHECK(log.size() == limits::request_ids_max);
  CHECK(log.find({1, 3}) == std::nullopt);
  CHECK(log.find({1, 4}) == outcome(4));
  CHECK(log.find({1, more}) == outcome(more));
  log.trim();
  CHECK(log.size() == limits::request_ids_max);
}

TEST_CASE("request log: an addition that finds no memory has changed nothing", "[engine]") {
  RequestLog log;
  std::uint64_t id = 1;
  int failures = 0;
  // Enough for several growths of both containers; each failing allocation of each is met.
  while (id < 600) {
    for (long n = 0;; ++n) {
      test::fail_allocation(n);
      bool added = true;
      try {
        log.add({7, id}, outcome(id));
      } catch (const std::bad_alloc&) {
        added = false;
      }
      test::fail_allocation(-1);
      if (added) break;
      ++failures;
      REQUIRE(log.size() == id - 1);
      REQUIRE(log.find({7, id}) == std::nullopt);
    }
    ++id;
  }
  CHECK(failures > 600);
  CHECK(log.size() == id - 1);
  // The order is whole too: taking all back ends with an empty log.
  while (--id > 0) log.remove({7, id});
  CHECK(log.size() == 0);
}

}  // namespace
