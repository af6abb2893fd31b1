// Positions, ticks and texts of axes. Comes after figure.h, before every renderer; pure functions.
// Rounding of ticks goes through integers (mantissa 1, 2, 5 and an exponent), so that the same axis
// gives the same text on every machine.
// Always holds: no text has more than four digits beside its unit.
#include "tools/plot/scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace vecserve::plot {
namespace {

constexpr std::array<double, 3> kMantissas = {1.0, 2.0, 5.0};

// As far right as a nines axis goes: eleven nines, beyond which no sample count reaches.
constexpr double kNinesMax = 11.0;

double project(ScaleKind scale, double value) {
  switch (scale) {
    case ScaleKind::linear:
      return value;
    case ScaleKind::log10:
      return std::log10(std::max(value, 1e-300));
    case ScaleKind::nines:
      return std::min(kNinesMax, -std::log10(std::max(1.0 - value, 1e-300)));
  }
  return value;
}

// Three significant digits, without an exponent: "0.0123", "1.23", "12.3", "123".
std::string digits(double value) {
  const double size = std::abs(value);
  int decimals = 0;
  if (size > 0.0 && size < 99.95) {
    decimals = 2 - static_cast<int>(std::floor(std::log10(size * 1.0005)));
    decimals = std::clamp(decimals, 0, 6);
  }
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  std::string text = buffer.data();
  if (text.find('.') != std::string::npos) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

struct Unit {
  double size;
  const char* name;
};

template <std::size_t N>
std::string with_unit(double value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (std::abs(value) >= unit.size * 0.9995) return digits(value / unit.size) + unit.name;
  }
  return digits(value / units.back().size) + units.back().name;
}

std::string percentile_text(double p) {
  if (p >= 1.0) return "max";
  std::array<char, 32> buffer{};
  const double nines = -std::log10(std::max(1.0 - p, 1e-12));
  const int decimals = std::max(0, static_cast<int>(std::ceil(nines - 1e-6)) - 2);
  std::snprintf(buffer.data(), buffer.size(), "p%.*f", decimals, p * 100.0);
  return buffer.data();
}

std::vector<double> linear_ticks(const Axis& axis, std::size_t count_max) {
  const double span = axis.high - axis.low;
  double step = std::pow(10.0, std::floor(std::log10(span)) - 1.0);
  const std::array<double, 3> growth = {2.0, 2.5, 2.0};  // 1, 2, 5, 10
  for (std::size_t i = 0; span / step > static_cast<double>(count_max - 1) && i < 64; ++i) {
    step *= growth[i % 3];
  }
  std::vector<double> values;
  const double first = std::ceil(axis.low / step - 1e-9);
  for (double at = first; at * step <= axis.high + step * 1e-9; at += 1.0) {
    values.push_back(at * step);
  }
  return values;
}

// Powers of ten, with 2 and 5 between them while there is room.
std::vector<double> log_ticks(const Axis& axis, std::size_t count_max) {
  const int low = static_cast<int>(std::floor(std::log10(axis.low) + 1e-9));
  const int high = static_cast<int>(std::ceil(std::log10(axis.high) - 1e-9));
  const auto collect = [&](std::size_t mantissas, int stride) {
    std::vector<double> values;
    for (int e = low; e <= high; e += stride) {
      for (std::size_t m = 0; m < mantissas; ++m) {
        const double value = kMantissas[m] * std::pow(10.0, e);
        if (value >= axis.low * (1 - 1e-9) && value <= axis.high * (1 + 1e-9)) {
          values.push_back(value);
        }
      }
    }
    return values;
  };
  for (const std::size_t mantissas : {std::size_t{3}, std::size_t{1}}) {
    std::vector<double> values = collect(mantissas, 1);
    if (values.size() <= count_max) return values;
  }
  for (int stride = 2;; ++stride) {
    std::vector<double> values = collect(1, stride);
    if (values.size() <= count_max) return values;
  }
}

std::vector<double> nines_ticks(const Axis& axis, std::size_t count_max) {
  std::vector<double> values = {0.0};
  if (count_max > 4) values.push_back(0.5);
  for (double rest = 0.1; rest > 1e-9 && values.size() < count_max; rest /= 10.0) {
    if (1.0 - rest <= axis.high + 1e-12) values.push_back(1.0 - rest);
  }
  std::erase_if(values, [&](double p) { return p < axis.low || p > axis.high; });
  return values;
}

}  // namespace

double position(const Axis& axis, double value) {
  const double low = project(axis.scale, axis.low);
  const double high = project(axis.scale, axis.high);
  if (!(high > low) || std::isnan(value)) return 0.0;
  return std::clamp((project(axis.scale, value) - low) / (high - low), 0.0, 1.0);
}

std::vector<Tick> ticks(const Axis& axis, std::size_t count_max) {
  count_max = std::max<std::size_t>(count_max, 2);
  if (!(axis.high > axis.low)) return {{axis.low, text_of(axis.quantity, axis.low)}};
  std::vector<double> values;
  switch (axis.scale) {
    case ScaleKind::linear:
      values = linear_ticks(axis, count_max);
      break;
    case ScaleKind::log10:
      values = log_ticks(axis, count_max);
      break;
    case ScaleKind::nines:
      values = nines_ticks(axis, count_max);
      break;
  }
  std::vector<Tick> result;
  result.reserve(values.size());
  for (const double value : values) result.push_back({value, text_of(axis.quantity, value)});
  return result;
}

std::string text_of(Quantity quantity, double value) {
  if (std::isnan(value)) return "?";
  static constexpr std::array<Unit, 4> kTimes = {
      {{1e6, " s"}, {1e3, " ms"}, {1.0, " µs"}, {1e-3, " ns"}}};
  static constexpr std::array<Unit, 3> kRates = {{{1e6, " M/s"}, {1e3, " k/s"}, {1.0, "/s"}}};
  static constexpr std::array<Unit, 3> kCounts = {{{1e6, " M"}, {1e3, " k"}, {1.0, ""}}};
  switch (quantity) {
    case Quantity::micros:
      return value == 0.0 ? "0" : with_unit(value, kTimes);
    case Quantity::seconds:
      return value == 0.0 ? "0" : with_unit(value * 1e6, kTimes);
    case Quantity::per_second:
      return value == 0.0 ? "0" : with_unit(value, kRates);
    case Quantity::share:
      return digits(value * 100.0) + " %";
    case Quantity::percentile:
      return percentile_text(value);
    case Quantity::plain:
      return with_unit(value, kCounts);
  }
  return digits(value);
}

void fit_log(Axis& axis, double low, double high) {
  axis.scale = ScaleKind::log10;
  axis.low = 1.0;
  axis.high = 10.0;
  if (!(low > 0.0) || !(high >= low) || !std::isfinite(high)) return;
  const double low_decade = std::pow(10.0, std::floor(std::log10(low)));
  const double high_decade = std::pow(10.0, std::floor(std::log10(high)));
  for (const double m : kMantissas) {
    if (m * low_decade <= low * (1 + 1e-9)) axis.low = m * low_decade;
  }
  axis.high = 10.0 * high_decade;
  for (std::size_t i = kMantissas.size(); i-- > 0;) {
    if (kMantissas[i] * high_decade >= high * (1 - 1e-9)) axis.high = kMantissas[i] * high_decade;
  }
  if (axis.high < axis.low * 2.0) axis.high = axis.low * 2.0;
}

void fit_linear(Axis& axis, double high) {
  axis.scale = ScaleKind::linear;
  axis.low = 0.0;
  axis.high = 1.0;
  if (!(high > 0.0) || !std::isfinite(high)) return;
  const double decade = std::pow(10.0, std::floor(std::log10(high)));
  for (const double m : {1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0}) {
    if (m * decade >= high * (1 - 1e-9)) {
      axis.high = m * decade;
      return;
    }
  }
  axis.high = 10.0 * decade;
}

}  // namespace vecserve::plot
