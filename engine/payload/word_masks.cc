// See word_masks.h.
// Whole words go through the widest registers that the machine has; the last word of a block, which
// may have fewer rows, goes row by row. Always holds: nothing is read past the rows.
#include "engine/payload/word_masks.h"

#include <algorithm>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace vecserve::engine {
namespace {

constexpr std::uint32_t kWord = 64;

template <typename Test>
std::uint64_t row_by_row(std::uint32_t rows, Test&& test) {
  std::uint64_t mask = 0;
  for (std::uint32_t i = 0; i < rows; ++i) mask |= static_cast<std::uint64_t>(test(i)) << i;
  return mask;
}

// The words from `first` on, each by mask(first row, rows).
template <typename Mask>
void keep_rest(std::uint32_t rows, std::uint32_t first, std::uint64_t* bits, Mask&& mask) {
  for (std::uint32_t w = first; w * kWord < rows; ++w) {
    if (bits[w] != 0) bits[w] &= mask(w * kWord, std::min(kWord, rows - w * kWord));
  }
}

std::uint64_t numbers_anywhere(const double* numbers, std::uint32_t rows, NumberTest test,
                               double constant) {
  const auto scan = [&](auto compare) {
    return row_by_row(rows, [&](std::uint32_t i) { return compare(numbers[i]); });
  };
  switch (test) {
    case NumberTest::greater:
      return scan([&](double a) { return a > constant; });
    case NumberTest::greater_equal:
      return scan([&](double a) { return a >= constant; });
    case NumberTest::less:
      return scan([&](double a) { return a < constant; });
    case NumberTest::less_equal:
      return scan([&](double a) { return a <= constant; });
    case NumberTest::equal:
      return scan([&](double a) { return a == constant; });
    case NumberTest::not_equal:
      break;
  }
  return scan([&](double a) { return a != constant; });
}

#if defined(__x86_64__)

constexpr int predicate_of(NumberTest test) {
  switch (test) {
    case NumberTest::greater:
      return _CMP_GT_OQ;
    case NumberTest::greater_equal:
      return _CMP_GE_OQ;
    case NumberTest::less:
      return _CMP_LT_OQ;
    case NumberTest::less_equal:
      return _CMP_LE_OQ;
    case NumberTest::equal:
      return _CMP_EQ_OQ;
    case NumberTest::not_equal:
      break;
  }
  return _CMP_NEQ_UQ;
}

template <NumberTest kTest>
[[gnu::target("avx512f")]] std::uint64_t numbers_avx512(const double* numbers, double constant) {
  const __m512d right = _mm512_set1_pd(constant);
  std::uint64_t mask = 0;
  for (std::uint32_t i = 0; i < kWord; i += 8) {
    const __m512d left = _mm512_loadu_pd(numbers + i);
    mask |= std::uint64_t{_mm512_cmp_pd_mask(left, right, predicate_of(kTest))} << i;
  }
  return mask;
}

template <NumberTest kTest>
[[gnu::target("avx2")]] std::uint64_t numbers_avx2(const double* numbers, double constant) {
  const __m256d right = _mm256_set1_pd(constant);
  std::uint64_t mask = 0;
  for (std::uint32_t i = 0; i < kWord; i += 4) {
    const __m256d left = _mm256_loadu_pd(numbers + i);
    const int four = _mm256_movemask_pd(_mm256_cmp_pd(left, right, predicate_of(kTest)));
    mask |= static_cast<std::uint64_t>(four) << i;
  }
  return mask;
}

template <NumberTest kTest>
[[gnu::target("avx512f")]] void keep_avx512(const double* numbers, std::uint32_t words,
                                            double constant, std::uint64_t* bits) {
  for (std::uint32_t w = 0; w < words; ++w) {
    if (bits[w] != 0) bits[w] &= numbers_avx512<kTest>(numbers + w * kWord, constant);
  }
}

template <NumberTest kTest>
[[gnu::target("avx2")]] void keep_avx2(const double* numbers, std::uint32_t words, double constant,
                                       std::uint64_t* bits) {
  for (std::uint32_t w = 0; w < words; ++w) {
    if (bits[w] != 0) bits[w] &= numbers_avx2<kTest>(numbers + w * kWord, constant);
  }
}

[[gnu::target("avx2")]] std::uint32_t half_word_avx2(const std::uint8_t* kinds, std::uint8_t kind) {
  const __m256i left = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kinds));
  const __m256i right = _mm256_set1_epi8(static_cast<char>(kind));
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(left, right)));
}

[[gnu::target("avx2")]] std::uint64_t kinds_avx2(const std::uint8_t* kinds, std::uint8_t kind) {
  return half_word_avx2(kinds, kind) | std::uint64_t{half_word_avx2(kinds + 32, kind)} << 32;
}

[[gnu::target("avx2")]] void present_avx2(const std::uint8_t* kinds, std::uint32_t words,
                                          std::uint64_t* bits) {
  for (std::uint32_t w = 0; w < words; ++w) {
    if (bits[w] != 0) bits[w] &= ~kinds_avx2(kinds + w * kWord, 0);
  }
}

[[gnu::target("popcnt")]] std::uint32_t count_popcnt(const std::uint64_t* words,
                                                     std::uint32_t count) {
  std::uint64_t bits = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    bits += static_cast<std::uint64_t>(__builtin_popcountll(words[i]));
  }
  return static_cast<std::uint32_t>(bits);
}

#endif

// Of whole words; null: this machine has nothing better than row by row.
struct Words {
  struct Numbers {
    std::uint64_t (*mask)(const double* numbers, double constant) = nullptr;
    void (*keep)(const double* numbers, std::uint32_t words, double constant,
                 std::uint64_t* bits) = nullptr;
  };
  Numbers numbers[6] = {};  // by NumberTest
  std::uint64_t (*kinds)(const std::uint8_t* kinds, std::uint8_t kind) = nullptr;
  void (*present)(const std::uint8_t* kinds, std::uint32_t words, std::uint64_t* bits) = nullptr;
  std::uint32_t (*count)(const std::uint64_t*, std::uint32_t) = nullptr;
};

#if defined(__x86_64__)

template <NumberTest kTest>
Words::Numbers numbers_for(bool wide) {
  if (wide) return {numbers_avx512<kTest>, keep_avx512<kTest>};
  return {numbers_avx2<kTest>, keep_avx2<kTest>};
}

Words choose() {
  // Whatever has these registers counts bits too.
  if (!__builtin_cpu_supports("avx2")) return {};
  const bool wide = __builtin_cpu_supports("avx512f");
  return {{numbers_for<NumberTest::greater>(wide), numbers_for<NumberTest::greater_equal>(wide),
           numbers_for<NumberTest::less>(wide), numbers_for<NumberTest::less_equal>(wide),
           numbers_for<NumberTest::equal>(wide), numbers_for<NumberTest::not_equal>(wide)},
          kinds_avx2,
          present_avx2,
          count_popcnt};
}

#else

Words choose() {
  return {};
}

#endif

const Words words = choose();

}  // namespace

std::uint64_t number_mask(const double* numbers, std::uint32_t rows, NumberTest test,
                          double constant) {
  const auto word = words.numbers[static_cast<std::size_t>(test)].mask;
  if (rows == kWord && word != nullptr) return word(numbers, constant);
  return numbers_anywhere(numbers, rows, test, constant);
}

std::uint64_t kind_mask(const std::uint8_t* kinds, std::uint32_t rows, std::uint8_t kind) {
  if (rows == kWord && words.kinds != nullptr) return words.kinds(kinds, kind);
  return row_by_row(rows, [&](std::uint32_t i) { return kinds[i] == kind; });
}

std::uint64_t present_mask(const std::uint8_t* kinds, std::uint32_t rows) {
  const std::uint64_t all = rows >= kWord ? ~std::uint64_t{0} : (std::uint64_t{1} << rows) - 1;
  return all & ~kind_mask(kinds, rows, 0);
}

void keep_numbers(const double* numbers, std::uint32_t rows, NumberTest test, double constant,
                  std::uint64_t* bits) {
  const auto keep = words.numbers[static_cast<std::size_t>(test)].keep;
  const std::uint32_t whole = keep == nullptr ? 0 : rows / kWord;
  if (whole != 0) keep(numbers, whole, constant, bits);
  keep_rest(rows, whole, bits, [&](std::uint32_t first, std::uint32_t count) {
    return numbers_anywhere(numbers + first, count, test, constant);
  });
}

void keep_present(const std::uint8_t* kinds, std::uint32_t rows, std::uint64_t* bits) {
  const std::uint32_t whole = words.present == nullptr ? 0 : rows / kWord;
  if (whole != 0) words.present(kinds, whole, bits);
  keep_rest(rows, whole, bits, [&](std::uint32_t first, std::uint32_t count) {
    return present_mask(kinds + first, count);
  });
}

std::uint32_t count_bits(const std::uint64_t* bits, std::uint32_t count) {
  if (words.count != nullptr) return words.count(bits, count);
  int all = 0;
  for (std::uint32_t i = 0; i < count; ++i) all += std::popcount(bits[i]);
  return static_cast<std::uint32_t>(all);
}

}  // namespace vecserve::engine
