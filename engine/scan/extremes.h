// The least and the most of many numbers. Several of each are kept side by side, as a comparison
// waits for the one before it. Comes below what puts values into drawers. Any thread; pure. Always
// holds: what is no number counts for nothing.
#pragma once

#include <cstddef>
#include <limits>
#include <span>

namespace vecserve::engine {

template <typename Number>
struct Extremes {
  Number least = std::numeric_limits<Number>::infinity();
  Number most = -std::numeric_limits<Number>::infinity();

  void add(const Extremes& other) {
    least = other.least < least ? other.least : least;
    most = other.most > most ? other.most : most;
  }
};

// Of number_of(value) for all values. Of none: least is infinity, most the negative of it.
template <typename Number, typename Value, typename F>
[[nodiscard]] Extremes<Number> extremes_of(std::span<const Value> values, F&& number_of) {
  constexpr std::size_t kSideBySide = 4;
  Extremes<Number> parts[kSideBySide];
  std::size_t i = 0;
  for (; i + kSideBySide <= values.size(); i += kSideBySide) {
    for (std::size_t p = 0; p < kSideBySide; ++p) {
      const Number number = number_of(values[i + p]);
      parts[p].add({number, number});
    }
  }
  for (; i < values.size(); ++i) {
    const Number number = number_of(values[i]);
    parts[0].add({number, number});
  }
  for (std::size_t p = 1; p < kSideBySide; ++p) parts[0].add(parts[p]);
  return parts[0];
}

}  // namespace vecserve::engine
