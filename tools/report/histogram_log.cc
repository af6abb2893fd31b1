// Lines of .hlog and .hgrm. Comes above histogram_blob; any thread. Always holds: a line that
// is neither a comment, nor a legend, nor in the form is an error that names it, never
// skipped.
#include "tools/report/histogram_log.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <istream>
#include <ostream>
#include <string_view>

#include "tools/report/histogram_blob.h"

namespace vecserve::report {
namespace {

using engine::Histogram;
using engine::HistogramCells;

constexpr double kNsPerUs = 1e3;
constexpr double kNsPerMs = 1e6;

template <typename... Values>
void print(std::ostream& out, const char* format, Values... values) {
  char line[160];
  const int length = std::snprintf(line, sizeof(line), format, values...);
  out.write(line, std::min<std::ptrdiff_t>(length, sizeof(line) - 1));
}

bool parse_number(std::string_view text, double& value) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Takes the field up to the next comma off the front.
std::string_view take_field(std::string_view& line) {
  const std::size_t comma = line.find(',');
  const std::string_view field = line.substr(0, comma);
  line = comma == line.npos ? std::string_view() : line.substr(comma + 1);
  return field;
}

Result<LogInterval> read_interval(std::string_view line) {
  LogInterval interval;
  if (line.starts_with("Tag=")) {
    interval.tag = take_field(line).substr(4);
  }
  double largest_ms = 0.0;
  if (!parse_number(take_field(line), interval.start_s) ||
      !parse_number(take_field(line), interval.length_s) ||
      !parse_number(take_field(line), largest_ms)) {
    return Status::invalid_argument("line", "start, length and maximum are to be numbers");
  }
  while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
  Result<Histogram> histogram = decode_histogram(line);
  if (!histogram.ok()) return histogram.status();
  interval.histogram = std::move(histogram).value();
  return interval;
}

// The number behind "name" and "=" in a footer such as "#[Mean    =  12.5, ...]".
bool read_footer(std::string_view line, std::string_view name, double& value) {
  std::size_t at = line.find(name);
  if (at == line.npos) return false;
  at = line.find('=', at);
  if (at == line.npos) return false;
  std::string_view rest = line.substr(at + 1);
  return parse_number(rest.substr(0, rest.find_first_of(",]")), value);
}

// Columns are divided by blanks.
bool read_spectrum_line(std::string_view line, SpectrumLine& read) {
  double columns[3];
  for (double& column : columns) {
    while (line.starts_with(' ')) line.remove_prefix(1);
    const std::string_view word = line.substr(0, line.find(' '));
    if (!parse_number(word, column)) return false;
    line.remove_prefix(word.size());
  }
  read = {columns[0], columns[1], static_cast<std::uint64_t>(columns[2])};
  return true;
}

Status wrong_line(std::size_t number, const std::string& what) {
  return Status::invalid_argument("line " + std::to_string(number), what);
}

}  // namespace

void write_log_header(std::ostream& out, const std::string& comment, double start_unix_s) {
  if (!comment.empty()) out << '#' << comment << '\n';
  out << "#[Histogram log format version 1.3]\n";
  print(out, "#[StartTime: %.3f (seconds since epoch)]\n", start_unix_s);
  print(out, "#[BaseTime: %.3f (seconds since epoch)]\n", start_unix_s);
  out << "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
         "\"Interval_Compressed_Histogram\"\n";
}

void write_log_interval(std::ostream& out, const LogInterval& interval) {
  if (!interval.tag.empty()) out << "Tag=" << interval.tag << ',';
  print(out, "%.3f,%.3f,%.3f,", interval.start_s, interval.length_s,
        static_cast<double>(interval.histogram.max()) / kNsPerMs);
  out << encode_histogram(interval.histogram) << '\n';
}

Result<std::vector<LogInterval>> read_log(std::istream& in) {
  std::vector<LogInterval> intervals;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (++number > kLogLinesMax) return wrong_line(number, "more than 10,000,000 lines");
    if (line.empty() || line.starts_with('#') || line.starts_with('"')) continue;
    Result<LogInterval> interval = read_interval(line);
    if (!interval.ok()) return wrong_line(number, interval.status().message());
    intervals.push_back(std::move(interval).value());
  }
  return intervals;
}

void write_spectrum(std::ostream& out, const Histogram& histogram, int steps) {
  out << "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
  const auto total = static_cast<double>(histogram.total());
  double quantile = 0.0;
  std::uint64_t sum = 0;
  for (std::size_t cell = 0; cell < HistogramCells::count && histogram.total() > 0; ++cell) {
    if (histogram.count_in(cell) == 0) continue;
    sum += histogram.count_in(cell);
    const double value = static_cast<double>(HistogramCells::high(cell)) / kNsPerUs;
    while (static_cast<double>(sum) / total >= quantile) {
      print(out, "%12.3f %2.12f %10llu %14.2f\n", value, quantile,
            static_cast<unsigned long long>(sum), 1.0 / (1.0 - quantile));
      // The step halves each time that the distance to 1 has halved.
      const double halvings = std::floor(std::log2(1.0 / (1.0 - quantile))) + 1.0;
      quantile += 1.0 / (steps * std::exp2(halvings));
      if (sum == histogram.total()) break;
    }
    if (sum == histogram.total()) {
      print(out, "%12.3f %2.12f %10llu\n", value, 1.0, static_cast<unsigned long long>(sum));
    }
  }
  print(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram.mean() / kNsPerUs,
        histogram.standard_deviation() / kNsPerUs);
  const std::uint64_t largest =
      histogram.total() == 0 ? 0 : HistogramCells::high(HistogramCells::cell_of(histogram.max()));
  print(out, "#[Max     = %12.3f, Total count    = %12llu]\n",
        static_cast<double>(largest) / kNsPerUs,
        static_cast<unsigned long long>(histogram.total()));
  print(out, "#[Buckets = %12zu, SubBuckets     = %12zu]\n",
        HistogramCells::count / HistogramCells::half - 1, 2 * HistogramCells::half);
}

Result<Spectrum> read_spectrum(std::istream& in) {
  Spectrum spectrum;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (++number > kLogLinesMax) return wrong_line(number, "more than 10,000,000 lines");
    if (line.starts_with("#[Mean")) {
      if (!read_footer(line, "Mean", spectrum.mean_us)) return wrong_line(number, "no mean");
    } else if (line.starts_with("#[Max")) {
      double total = 0.0;
      if (!read_footer(line, "Max", spectrum.max_us)) return wrong_line(number, "no maximum");
      if (!read_footer(line, "Total", total)) return wrong_line(number, "no total count");
      spectrum.total = static_cast<std::uint64_t>(total);
    } else if (line.find_first_not_of(" \r") != line.npos && !line.starts_with('#') &&
               line.find("Percentile") == line.npos) {
      SpectrumLine read;
      if (!read_spectrum_line(line, read)) return wrong_line(number, "three numbers expected");
      spectrum.lines.push_back(read);
    }
  }
  return spectrum;
}

}  // namespace vecserve::report
