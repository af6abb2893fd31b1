// The file formats of HdrHistogram: .hlog, a line for each interval of time with its whole
// histogram, and .hgrm, the percentile spectrum as a table. Comes after a run, before other
// people's plotters; any thread. Always holds: values are nanoseconds inside the histograms of a
// log and microseconds in the table, as its first line says.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "engine/base/histogram.h"
#include "vecserve/status.h"

namespace vecserve::report {

inline constexpr std::size_t kLogLinesMax = 10'000'000;

struct LogInterval {
  std::string tag{};     // "": none; else without commas, spaces and line ends
  double start_s = 0.0;  // from the start of the log
  double length_s = 0.0;
  engine::Histogram histogram{};
};

// The lines before the intervals; `start_unix_s` is when the run began, in seconds since 1970.
void write_log_header(std::ostream& out, const std::string& comment, double start_unix_s);
void write_log_interval(std::ostream& out, const LogInterval& interval);

// Every interval of a log, in its order. invalid_argument names the line that cannot be read.
[[nodiscard]] Result<std::vector<LogInterval>> read_log(std::istream& in);

// The spectrum: `steps` lines for each halving of the distance to 100 %.
void write_spectrum(std::ostream& out, const engine::Histogram& histogram, int steps = 5);

struct SpectrumLine {
  double value_us = 0.0;
  double quantile = 0.0;
  std::uint64_t count = 0;  // values up to this one
};
struct Spectrum {
  std::vector<SpectrumLine> lines;
  double mean_us = 0.0;
  double max_us = 0.0;
  std::uint64_t total = 0;
};
// Reads what write_spectrum or another implementation wrote, with values in microseconds.
[[nodiscard]] Result<Spectrum> read_spectrum(std::istream& in);

}  // namespace vecserve::report
