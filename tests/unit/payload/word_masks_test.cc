// Checks engine/payload/word_masks against comparisons of single rows: every test, every number of
// rows, all kinds of numbers, and that nothing is read past the rows. Seeded, single-threaded.
// Always holds: expected bits come from the same operators, one row at a time.
#include "engine/payload/word_masks.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

namespace {

using namespace vecserve::engine;

constexpr std::uint64_t kSeed = 17;

bool holds(NumberTest test, double a, double b) {
  switch (test) {
    case NumberTest::greater:
      return a > b;
    case NumberTest::greater_equal:
      return a >= b;
    case NumberTest::less:
      return a < b;
    case NumberTest::less_equal:
      return a <= b;
    case NumberTest::equal:
      return a == b;
    case NumberTest::not_equal:
      return a != b;
  }
  return false;
}

TEST_CASE("word masks: every test of numbers says what single comparisons say", "[filter]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {0.0,      -0.0,      1.0, -1.0, 0x1p-1074,
                                      infinity, -infinity, 7.5, NAN};
  std::mt19937_64 random(kSeed);
  for (std::uint32_t rows = 0; rows <= 64; ++rows) {
    const auto numbers = std::make_unique<double[]>(rows);  // exact, for the address sanitizer
    for (std::uint32_t i = 0; i < rows; ++i) numbers[i] = values[random() % values.size()];
    for (const double constant : values) {
      for (int t = 0; t < 6; ++t) {
        const auto test = static_cast<NumberTest>(t);
        CAPTURE(kSeed, rows, constant, t);
        std::uint64_t expected = 0;
        for (std::uint32_t i = 0; i < rows; ++i) {
          expected |= std::uint64_t{holds(test, numbers[i], constant)} << i;
        }
        REQUIRE(number_mask(numbers.get(), rows, test, constant) == expected);
      }
    }
  }
}

TEST_CASE("word masks: kinds are seen at every place and no further", "[filter]") {
  std::mt19937_64 random(kSeed);
  for (std::uint32_t rows = 0; rows <= 64; ++rows) {
    const auto kinds = std::make_unique<std::uint8_t[]>(rows);
    std::uint64_t of_kind[5] = {};
    for (std::uint32_t i = 0; i < rows; ++i) {
      kinds[i] = static_cast<std::uint8_t>(random() % 5);
      of_kind[kinds[i]] |= std::uint64_t{1} << i;
    }
    CAPTURE(kSeed, rows);
    for (std::uint8_t kind = 0; kind < 5; ++kind) {
      CHECK(kind_mask(kinds.get(), rows, kind) == of_kind[kind]);
    }
    CHECK(present_mask(kinds.get(), rows) == (of_kind[1] | of_kind[2] | of_kind[3] | of_kind[4]));
  }
}

TEST_CASE("word masks: over many words only bits of rows that fail are cleared", "[filter]") {
  std::mt19937_64 random(kSeed);
  for (const std::uint32_t rows : {0U, 1U, 63U, 64U, 65U, 128U, 200U, 257U}) {
    const auto numbers = std::make_unique<double[]>(rows);  // exact, for the address sanitizer
    const auto kinds = std::make_unique<std::uint8_t[]>(rows);
    std::vector<std::uint64_t> bits((rows + 63) / 64);
    for (std::uint32_t i = 0; i < rows; ++i) {
      numbers[i] = static_cast<double>(random() % 3);
      kinds[i] = static_cast<std::uint8_t>(random() % 3);
      // The second word has none.
      if (i / 64 != 1 && random() % 4 != 0) bits[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    const auto expected = [&](auto&& holds_for) {
      std::vector<std::uint64_t> left = bits;
      for (std::uint32_t i = 0; i < rows; ++i) {
        if (!holds_for(i)) left[i / 64] &= ~(std::uint64_t{1} << (i % 64));
      }
      return left;
    };
    for (int t = 0; t < 6; ++t) {
      const auto test = static_cast<NumberTest>(t);
      CAPTURE(kSeed, rows, t);
      std::vector<std::uint64_t> kept = bits;
      keep_numbers(numbers.get(), rows, test, 1.0, kept.data());
      CHECK(kept == expected([&](std::uint32_t i) { return holds(test, numbers[i], 1.0); }));
    }
    CAPTURE(kSeed, rows);
    std::vector<std::uint64_t> kept = bits;
    keep_present(kinds.get(), rows, kept.data());
    CHECK(kept == expected([&](std::uint32_t i) { return kinds[i] != 0; }));
  }
}

TEST_CASE("word masks: bits are counted, of none and of many words", "[filter]") {
  const std::uint64_t bits[] = {~std::uint64_t{0}, 0, 5, std::uint64_t{1} << 63};
  CHECK(count_bits(bits, 0) == 0);
  CHECK(count_bits(bits, 1) == 64);
  CHECK(count_bits(bits, 3) == 66);
  CHECK(count_bits(bits, 4) == 67);
}

}  // namespace
