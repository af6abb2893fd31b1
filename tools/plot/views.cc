// Builds figures: chooses axes, thins what is too fine to see, writes notes on what is missing.
// Comes between the measurements of a tool and the renderers. Pure functions, no drawing here.
// Always holds: axes contain every drawn value, and bands surround their line.
#include "tools/plot/views.h"

#include <algorithm>
#include <cmath>

#include "tools/plot/scale.h"

namespace vecserve::plot {
namespace {

// Two-sided 95 % of a normal distribution.
constexpr double kZ95 = 1.959964;
// Points of a drawn spectrum per nine: finer than a pixel of a plot 800 wide over four nines.
constexpr double kPointsPerNine = 64.0;

Figure captioned(const Caption& caption) {
  Figure figure;
  figure.name = caption.name;
  figure.title = caption.title;
  figure.subtitle = caption.subtitle;
  return figure;
}

std::string with_count(std::uint64_t count) {
  const std::string plain = std::to_string(count);
  std::string digits;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (i > 0 && (plain.size() - i) % 3 == 0) digits.push_back(',');
    digits.push_back(plain[i]);
  }
  return digits;
}

// "p99.9 wants 2,995 samples (500 taken)" for the first usual percentile that is missing.
std::string missing_note(const Spectrum& spectrum) {
  for (const double p : {0.99, 0.999, 0.9999}) {
    const std::uint64_t needed = samples_needed(p);
    if (spectrum.count >= needed) continue;
    return (spectrum.name.empty() ? "" : spectrum.name + ": ") + text_of(Quantity::percentile, p) +
           " wants " + with_count(needed) + " samples, " + with_count(spectrum.count) +
           " were taken. ";
  }
  return {};
}

Line line_of(const Spectrum& spectrum, std::size_t color) {
  Line line;
  line.name = spectrum.name + " (n = " + with_count(spectrum.count) + ")";
  line.color = color;
  line.dashed = spectrum.dashed;
  for (const SpectrumPoint& point : spectrum.points) {
    if (spectrum.count > 0 && spectrum.count < samples_needed(point.p)) break;
    line.points.push_back({point.p, point.value_us});
    line.band.push_back({point.p, point.low_us, point.high_us});
  }
  return line;
}

const SpectrumPoint* point_at(const Spectrum& spectrum, double p) {
  if (spectrum.count < samples_needed(p)) return nullptr;
  const SpectrumPoint* best = nullptr;
  for (const SpectrumPoint& point : spectrum.points) {
    if (point.p <= p + 1e-12) best = &point;
  }
  return best;
}

}  // namespace

std::uint64_t samples_needed(double p) {
  if (p <= 0.0) return 1;
  if (p >= 1.0) return UINT64_MAX;
  return static_cast<std::uint64_t>(std::ceil(std::log(0.05) / std::log(p) - 1e-9));
}

double percentile_of(std::span<const double> ascending, double p) {
  if (ascending.empty()) return 0.0;
  const auto n = static_cast<double>(ascending.size());
  const auto rank = static_cast<std::size_t>(std::ceil(std::clamp(p, 0.0, 1.0) * n - 1e-9));
  return ascending[std::min(ascending.size() - 1, rank == 0 ? 0 : rank - 1)];
}

Spectrum spectrum_of(std::string name, std::vector<double> samples_us) {
  Spectrum spectrum;
  spectrum.name = std::move(name);
  spectrum.count = samples_us.size();
  if (samples_us.empty()) return spectrum;
  std::sort(samples_us.begin(), samples_us.end());
  spectrum.max_us = samples_us.back();
  const auto n = static_cast<double>(samples_us.size());
  const double nines_max = -std::log10(1.0 - std::pow(0.05, 1.0 / n));
  const auto at_rank = [&](double rank) {
    return samples_us[static_cast<std::size_t>(std::clamp(rank, 1.0, n)) - 1];
  };
  const auto add = [&](double p) {
    if (spectrum.count < samples_needed(p)) return;
    const double half = kZ95 * std::sqrt(n * p * (1.0 - p));
    spectrum.points.push_back({p, percentile_of(samples_us, p), at_rank(std::floor(n * p - half)),
                               at_rank(std::ceil(n * p + half) + 1.0)});
  };
  for (double step = 0.0; step / kPointsPerNine <= nines_max; step += 1.0) {
    add(1.0 - std::pow(10.0, -step / kPointsPerNine));
  }
  return spectrum;
}

Figure spectrum_figure(const Caption& caption, const std::vector<Spectrum>& spectra) {
  Figure figure = captioned(caption);
  figure.x = {"percentile", Quantity::percentile, ScaleKind::nines, 0.0, 0.99};
  figure.y = {"latency", Quantity::micros, ScaleKind::log10, 1.0, 10.0};
  double low = 0.0, high = 0.0;
  for (std::size_t i = 0; i < spectra.size(); ++i) {
    Line line = line_of(spectra[i], i);
    for (const BandPoint& point : line.band) {
      figure.x.high = std::max(figure.x.high, point.x);
      if (point.low > 0.0) low = low == 0.0 ? point.low : std::min(low, point.low);
      high = std::max(high, point.high);
    }
    figure.note += missing_note(spectra[i]);
    figure.legend.push_back({line.name, i, line.dashed});
    figure.lines.push_back(std::move(line));
  }
  fit_log(figure.y, low, high);
  return figure;
}

Figure overlay_figure(const Caption& caption, const Spectrum& before, const Spectrum& after) {
  Figure figure = spectrum_figure(caption, {before, after});
  for (const double p : {0.99, 0.999}) {
    const SpectrumPoint* const first = point_at(before, p);
    const SpectrumPoint* const second = point_at(after, p);
    if (first == nullptr || second == nullptr) continue;
    if (!(first->value_us > 0.0 && second->value_us > 0.0)) continue;
    const double ratio = first->value_us / second->value_us;
    const bool lower = ratio >= 1.0;
    figure.marks.push_back({p, second->value_us,
                            text_of(Quantity::percentile, p) + " " +
                                text_of(Quantity::plain, lower ? ratio : 1.0 / ratio) + "× " +
                                (lower ? "lower" : "higher"),
                            1});
  }
  return figure;
}

HeatGrid heat_of(std::span<const TimedSample> samples, std::size_t columns, std::size_t rows) {
  HeatGrid grid;
  if (samples.empty() || columns == 0 || rows == 0) return grid;
  double low = 0.0, high = 0.0, end = 0.0;
  for (const TimedSample& sample : samples) {
    const double us = std::max(sample.latency_us, 1e-3);  // a nanosecond: the clock's grain
    low = low == 0.0 ? us : std::min(low, us);
    high = std::max(high, us);
    end = std::max(end, sample.at_s);
  }
  Axis axis;
  fit_log(axis, low, high);
  end = end > 0.0 ? end * (1.0 + 1e-9) : 1.0;
  const auto column_count = static_cast<double>(columns), row_count = static_cast<double>(rows);
  for (std::size_t i = 0; i <= columns; ++i) {
    grid.time_edges_s.push_back(end * static_cast<double>(i) / column_count);
  }
  for (std::size_t i = 0; i <= rows; ++i) {
    grid.latency_edges_us.push_back(
        axis.low * std::pow(axis.high / axis.low, static_cast<double>(i) / row_count));
  }
  grid.counts.assign(columns * rows, 0);
  std::vector<std::vector<double>> by_column(columns);
  for (const TimedSample& sample : samples) {
    const double share = std::clamp(sample.at_s / end, 0.0, 1.0);
    const auto column = std::min(columns - 1, static_cast<std::size_t>(share * column_count));
    const double height = position(axis, std::max(sample.latency_us, 1e-3));
    const auto row = std::min(rows - 1, static_cast<std::size_t>(height * row_count));
    ++grid.counts[column * rows + row];
    by_column[column].push_back(sample.latency_us);
  }
  for (std::vector<double>& column : by_column) {
    std::sort(column.begin(), column.end());
    grid.median_us.push_back(percentile_of(column, 0.5));
  }
  return grid;
}

Figure heat_figure(const Caption& caption, const HeatGrid& grid) {
  Figure figure = captioned(caption);
  figure.x = {"time since start", Quantity::seconds, ScaleKind::linear, 0.0, 1.0};
  figure.y = {"latency", Quantity::micros, ScaleKind::log10, 1.0, 10.0};
  if (grid.time_edges_s.size() < 2 || grid.latency_edges_us.size() < 2) {
    figure.note = "There was no sample.";
    return figure;
  }
  figure.x.high = grid.time_edges_s.back();
  figure.y.low = grid.latency_edges_us.front();
  figure.y.high = grid.latency_edges_us.back();
  const std::size_t rows = grid.latency_edges_us.size() - 1;
  const std::uint64_t most = *std::max_element(grid.counts.begin(), grid.counts.end());
  for (std::size_t i = 0; i < grid.counts.size(); ++i) {
    if (grid.counts[i] == 0) continue;
    const std::size_t column = i / rows, row = i % rows;
    // On a logarithmic scale, so that the single slow request can be seen beside a thousand fast.
    const double heat =
        std::log1p(static_cast<double>(grid.counts[i])) / std::log1p(static_cast<double>(most));
    figure.cells.push_back({grid.time_edges_s[column], grid.time_edges_s[column + 1],
                            grid.latency_edges_us[row], grid.latency_edges_us[row + 1], heat,
                            with_count(grid.counts[i]) + " requests"});
  }
  Line median{"median", {}, {}, 1, false, false};
  for (std::size_t column = 0; column < grid.median_us.size(); ++column) {
    if (grid.median_us[column] <= 0.0) continue;
    const double middle = (grid.time_edges_s[column] + grid.time_edges_s[column + 1]) / 2.0;
    median.points.push_back({middle, grid.median_us[column]});
  }
  figure.legend.push_back({"median of each column", 1, false});
  figure.lines.push_back(std::move(median));
  figure.note = "Darkest: " + with_count(most) + " requests; the scale is logarithmic.";
  return figure;
}

}  // namespace vecserve::plot
