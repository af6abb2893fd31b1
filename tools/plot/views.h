// The views: from measurements to figures. Each function is one picture that a latency tool shows:
// percentile spectrum, latency over time, throughput-latency curve, goodput against offered load,
// overlay of two runs, waterfall of the worst requests. Used by loadgen, tailprobe, hedge and lab;
// drawn by svg.h, terminal.h and report.h. Pure functions.
// Always holds: a percentile that the sample count does not support is not in any figure; the
// figure's note says which are missing and how many samples they want.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/plot/figure.h"

namespace vecserve::plot {

// What stands above a plot. `subtitle` says what the figures are: response or service time,
// corrected or not, noise floor.
struct Caption {
  std::string name;
  std::string title;
  std::string subtitle;
};

// ---- percentiles
// ---------------------------------------------------------------------------------
struct SpectrumPoint {
  double p = 0.0;  // a fraction: 0.99
  double value_us = 0.0;
  double low_us = 0.0;  // 95 % interval; low == high == value when none is known
  double high_us = 0.0;
};

struct Spectrum {
  std::string name;
  std::uint64_t count = 0;
  std::vector<SpectrumPoint> points;  // rising p
  double max_us = 0.0;
  bool dashed = false;  // for a noise floor or a reference
};

// Samples that a percentile needs: the least n for which the largest sample is, with 95 %
// confidence, at or above it: ln 0.05 / ln p. 299 for p99, 2,995 for p99.9.
[[nodiscard]] std::uint64_t samples_needed(double p);

// From samples in microseconds, in any order. Intervals are those of order statistics (normal
// approximation to the binomial) and hold for independent samples.
[[nodiscard]] Spectrum spectrum_of(std::string name, std::vector<double> samples_us);

// The value at p of ascending samples: the smallest that at least p of them do not exceed.
[[nodiscard]] double percentile_of(std::span<const double> ascending, double p);

// Any number of spectra on log-nines axes, with bands.
[[nodiscard]] Figure spectrum_figure(const Caption& caption, const std::vector<Spectrum>& spectra);

// Two spectra, and where p99 and p99.9 of the second lie against the first: "p99.9 5.2x lower".
[[nodiscard]] Figure overlay_figure(const Caption& caption, const Spectrum& before,
                                    const Spectrum& after);

// ---- latency over time
// ---------------------------------------------------------------------------
struct TimedSample {
  double at_s = 0.0;  // since the start of the run, of the intended start
  double latency_us = 0.0;
};

// Counts by time (columns) and latency (rows); edges have one more entry than there are cells.
struct HeatGrid {
  std::vector<double> time_edges_s;
  std::vector<double> latency_edges_us;  // rising, above 0
  std::vector<std::uint64_t> counts;     // column by column, latency rising within one
  std::vector<double> median_us;         // per column, 0 where it is empty
};

[[nodiscard]] HeatGrid heat_of(std::span<const TimedSample> samples, std::size_t columns = 72,
                               std::size_t rows = 30);
[[nodiscard]] Figure heat_figure(const Caption& caption, const HeatGrid& grid);

// ---- load
// ----------------------------------------------------------------------------------------
struct LoadPoint {
  double offered = 0.0;  // requests per second
  double p50_us = 0.0;   // 0: not supported by the samples of this step
  double p99_us = 0.0;
};

struct Knee {
  double rate = 0.0;     // the highest that holds the target
  double slo_us = 0.0;   // the target
  std::string slo_text;  // "p99 = 5 ms"
};

[[nodiscard]] Figure curve_figure(const Caption& caption, std::vector<LoadPoint> points,
                                  const std::optional<Knee>& knee);

struct GoodputSeries {
  std::string name;
  std::vector<Point> points;  // x offered, y answered in time, both per second
};

// With the diagonal on which every request is answered in time, and the capacity when above 0.
[[nodiscard]] Figure goodput_figure(const Caption& caption,
                                    const std::vector<GoodputSeries>& series, double capacity);

// ---- single requests
// -----------------------------------------------------------------------------
struct StageSpan {
  std::size_t stage = 0;  // index into the stage names
  double start_us = 0.0;  // since the intended start of its request
  double end_us = 0.0;
};

struct RequestTrace {
  std::string label;  // "#4711 at 3.21 s"
  std::vector<StageSpan> spans;
};

[[nodiscard]] Figure waterfall_figure(const Caption& caption,
                                      const std::vector<std::string>& stages,
                                      const std::vector<RequestTrace>& requests);

}  // namespace vecserve::plot
