// Checks engine/scan/passed_rows: rows are numbered over their stretch, the nearest are told by
// their bounds and dropped, and the rest is chosen part by part. Single-threaded. Always holds:
// lists are filled as the sieve does, with rows counted from the beginning of each part.
#include "engine/scan/passed_rows.h"

#include <catch2/catch.hpp>

namespace {

using namespace vecserve::engine;

void add(PassedRows& passed, std::uint32_t base, std::vector<SketchSurvivor> rows) {
  SketchSurvivor* const out = passed.room(64);
  std::copy(rows.begin(), rows.end(), out);
  passed.take(static_cast<std::uint32_t>(rows.size()), base);
}

TEST_CASE("passed rows: are numbered over the stretch, and forgotten by clear", "[sketch]") {
  PassedRows passed;
  CHECK(passed.size() == 0);
  CHECK(passed.done());
  add(passed, 0, {{3, 1.0f}, {60, 2.0f}});
  add(passed, 64, {});
  add(passed, 128, {{0, 0.5f}});
  REQUIRE(passed.size() == 3);
  CHECK(passed.begin()[1].row == 60);
  CHECK(passed.begin()[2].row == 128);
  CHECK_FALSE(passed.done());
  passed.clear();
  CHECK(passed.size() == 0);
  CHECK(passed.begin() == passed.end());
}

TEST_CASE("passed rows: the bound at a rank, and what is within it is dropped", "[sketch]") {
  PassedRows passed;
  add(passed, 0, {{1, 5.0f}, {2, 1.0f}, {3, 3.0f}, {4, 3.0f}, {5, 9.0f}});
  std::vector<float> scratch;
  CHECK(passed.bound_at(0, scratch) == 1.0f);
  CHECK(passed.bound_at(1, scratch) == 3.0f);
  CHECK(passed.bound_at(2, scratch) == 3.0f);
  CHECK(passed.bound_at(4, scratch) == 9.0f);
  std::vector<std::uint64_t> chosen;
  CHECK(passed.choose(0, 64, 3.0f, chosen) == 3);
  CHECK(chosen[0] == 0b11100u);
  CHECK(passed.done());
  passed.drop_within(3.0f);
  REQUIRE(passed.size() == 2);
  CHECK_FALSE(passed.done());
  CHECK(passed.begin()[0].row == 1);
  CHECK(passed.begin()[1].row == 5);
}

TEST_CASE("passed rows: are chosen part by part, each once", "[sketch]") {
  PassedRows passed;
  add(passed, 0, {{0, 1.0f}, {63, 4.0f}});
  add(passed, 64, {{0, 1.0f}, {1, 2.0f}, {63, 1.5f}});
  add(passed, 128, {{5, 7.0f}});
  std::vector<std::uint64_t> chosen(3, ~std::uint64_t{0});
  CHECK(passed.choose(0, 64, 2.0f, chosen) == 1);
  CHECK(chosen[0] == 1u);
  CHECK(passed.choose(64, 64, 1.5f, chosen) == 2);
  CHECK(chosen[0] == (std::uint64_t{1} << 63 | 1u));
  chosen[0] = 42;
  CHECK(passed.choose(128, 10, 6.0f, chosen) == 0);
  CHECK(chosen[0] == 42u);  // nothing chosen: left alone
  CHECK(passed.done());
}

TEST_CASE("passed rows: looking ahead tells each row once, and none that is gone past",
          "[sketch]") {
  PassedRows passed;
  add(passed, 0, {{0, 1.0f}, {10, 9.0f}, {63, 2.0f}});
  add(passed, 64, {{0, 1.0f}, {5, 1.0f}, {63, 2.0f}});
  std::vector<std::uint64_t> told;
  const auto ask = [&](std::uint64_t row) { told.push_back(row); };
  passed.look_ahead(64, 2.0f, ask);
  CHECK(told == std::vector<std::uint64_t>{0, 63});
  passed.look_ahead(65, 2.0f, ask);
  CHECK(told == std::vector<std::uint64_t>{0, 63, 64});
  std::vector<std::uint64_t> chosen;
  CHECK(passed.choose(0, 70, 2.0f, chosen) == 4);
  passed.look_ahead(1'000, 2.0f, ask);
  CHECK(told == std::vector<std::uint64_t>{0, 63, 64, 127});
  passed.look_ahead(1'000, 9.0f, ask);
  CHECK(told.size() == 4);
  passed.drop_within(1.0f);  // leaves three, none of them asked for
  passed.look_ahead(1'000, 9.0f, ask);
  CHECK(told == std::vector<std::uint64_t>{0, 63, 64, 127, 10, 63, 127});
}

TEST_CASE("passed rows: room grows and keeps what is there", "[sketch]") {
  PassedRows passed;
  for (std::uint32_t base = 0; base < 64 * 100; base += 64) {
    add(passed, base, {{7, static_cast<float>(base)}});
  }
  REQUIRE(passed.size() == 100);
  for (std::uint32_t i = 0; i < 100; ++i) {
    REQUIRE(passed.begin()[i].row == i * 64 + 7);
    REQUIRE(passed.begin()[i].bound == static_cast<float>(i * 64));
  }
}

}  // namespace
