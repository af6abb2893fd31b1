// Rows of a column against one constant, as bits: the innermost loops of filters. Used by
// filter_masks and filter_eval, a word of rows or a block at a time. Any thread; pure. Always
// holds: bit i is the answer for row i, bits past the rows are 0, and every machine gives the same
// bits.
#pragma once

#include <cstdint>

namespace vecserve::engine {

enum class NumberTest : std::uint8_t { greater, greater_equal, less, less_equal, equal, not_equal };

// Rows for which `numbers[i] test constant` holds; rows at most 64. Nothing but not_equal holds for
// what is not a number.
[[nodiscard]] std::uint64_t number_mask(const double* numbers, std::uint32_t rows, NumberTest test,
                                        double constant);
// Rows whose kind is not 0; rows at most 64, as below.
[[nodiscard]] std::uint64_t present_mask(const std::uint8_t* kinds, std::uint32_t rows);
// Rows of this kind.
[[nodiscard]] std::uint64_t kind_mask(const std::uint8_t* kinds, std::uint32_t rows,
                                      std::uint8_t kind);

// The same over many words: clears the bits of rows that fail. Bits at or above `rows` are clear
// already; a word without bits costs a look at it.
void keep_numbers(const double* numbers, std::uint32_t rows, NumberTest test, double constant,
                  std::uint64_t* bits);
void keep_present(const std::uint8_t* kinds, std::uint32_t rows, std::uint64_t* bits);

// Bits set in so many words.
[[nodiscard]] std::uint32_t count_bits(const std::uint64_t* bits, std::uint32_t count);

}  // namespace vecserve::engine
