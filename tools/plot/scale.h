// From values to positions and from values to text: the one place that knows logarithms, nines,
// ticks and units. Below every renderer; pure functions, any thread.
// Always holds: position() is monotone and finite for every finite value, because it clamps to the
// axis; ticks lie within the axis.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/plot/figure.h"

namespace vecserve::plot {

// Where `value` lies on the axis: 0 at low, 1 at high, clamped.
[[nodiscard]] double position(const Axis& axis, double value);

struct Tick {
  double value = 0.0;
  std::string text;
};

// Round numbers in the axis, at most `count_max` (at least 2) of them.
[[nodiscard]] std::vector<Tick> ticks(const Axis& axis, std::size_t count_max);

// "410 µs", "6.78 ms", "23.0 s", "12.5 k/s", "95 %", "p99.9": three significant digits, and the
// unit that keeps them short.
[[nodiscard]] std::string text_of(Quantity quantity, double value);

// Axis limits around values of a log axis: out to the next 1, 2 or 5 times a power of ten on either
// side. Values that are not above 0 are left out; 1 to 10 when none is left.
void fit_log(Axis& axis, double low, double high);
// The same for a linear axis from 0 to the next round number above `high`.
void fit_linear(Axis& axis, double high);

}  // namespace vecserve::plot
