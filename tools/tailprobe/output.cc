// Words, JSON and figures from a probe's result. After probe and plot, before tailprobe's main and
// the lab; main thread.
// Always holds: the same figures stand in every form, computed once here.
#include "tools/tailprobe/output.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "engine/base/histogram.h"
#include "engine/base/quantile_bounds.h"
#include "tools/plot/scale.h"
#include "tools/plot/views.h"

namespace vecserve::tailprobe {
namespace {

struct CauseSum {
  std::size_t samples = 0;
  double explained_us = 0.0;
};

std::map<Cause, CauseSum> sums_of(const ProbeResult& result) {
  std::map<Cause, CauseSum> sums;
  for (const SlowSample& sample : result.slow) {
    for (const NamedCause& cause : sample.causes) {
      ++sums[cause.cause].samples;
      sums[cause.cause].explained_us += cause.explained_us;
    }
  }
  return sums;
}

engine::Histogram histogram_of(const ProbeResult& result) {
  engine::Histogram histogram;
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    histogram.record(static_cast<std::uint64_t>(result.duration_us(i) * 1e3));
  }
  return histogram;
}

engine::Histogram floor_of(const ProbeResult& result) {
  engine::Histogram histogram;
  for (const double us : result.control_late_us) {
    histogram.record(static_cast<std::uint64_t>(std::max(0.0, us) * 1e3));
  }
  return histogram;
}

std::vector<SlowSample> slowest_of(const ProbeResult& result, std::size_t count) {
  std::vector<SlowSample> slowest = result.slow;
  std::sort(slowest.begin(), slowest.end(),
            [](const auto& a, const auto& b) { return a.duration_us > b.duration_us; });
  if (slowest.size() > count) slowest.resize(count);
  return slowest;
}

std::string text_of(const std::vector<NamedCause>& causes, double excess_us) {
  if (causes.empty()) return "unexplained";
  std::string text;
  for (const NamedCause& cause : causes) {
    if (!text.empty()) text += ", ";
    text += std::string(to_string(cause.cause)) + " " +
            std::to_string(static_cast<int>(100.0 * cause.explained_us / excess_us + 0.5)) + " %";
  }
  return text;
}

double explained_share(const ProbeResult& result) {
  return result.excess_us > 0.0 ? result.explained_us / result.excess_us : 1.0;
}

std::string micros(double us) {
  return plot::text_of(plot::Quantity::micros, us);
}

constexpr double kQuantiles[] = {0.5, 0.95, 0.99, 0.999, 0.9999};

// "p99 6.78 ms (6.1 to 8.2 ms)" or how many samples it lacks.
void print_quantiles(const char* name, const engine::Histogram& histogram) {
  std::printf("  %-12s n=%llu", name, static_cast<unsigned long long>(histogram.total()));
  for (const double quantile : kQuantiles) {
    const engine::QuantileEstimate estimate = engine::estimate_quantile(histogram, quantile);
    const std::string label = plot::text_of(plot::Quantity::percentile, quantile);
    if (estimate.missing > 0) {
      std::printf("  %s needs %llu more", label.c_str(),
                  static_cast<unsigned long long>(estimate.missing));
      break;
    }
    std::printf("  %s=%s", label.c_str(),
                micros(static_cast<double>(estimate.value) * 1e-3).c_str());
  }
  std::printf("  max=%s\n", micros(static_cast<double>(histogram.max()) * 1e-3).c_str());
}

nlohmann::ordered_json quantiles_json(const engine::Histogram& histogram) {
  nlohmann::ordered_json json = {{"n", histogram.total()}};
  for (const double quantile : kQuantiles) {
    const engine::QuantileEstimate estimate = engine::estimate_quantile(histogram, quantile);
    std::string key = plot::text_of(plot::Quantity::percentile, quantile);
    std::erase(key, '.');
    if (estimate.missing > 0) {
      json[key + "_missing"] = estimate.missing;
      continue;
    }
    json[key + "_us"] = static_cast<double>(estimate.value) * 1e-3;
    json[key + "_low_us"] = static_cast<double>(estimate.lower) * 1e-3;
    json[key + "_high_us"] = static_cast<double>(estimate.upper) * 1e-3;
  }
  json["max_us"] = static_cast<double>(histogram.max()) * 1e-3;
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const Operation& operation, const ProbeResult& result,
                               double fast_path_ns) {
  nlohmann::ordered_json json = {{"op", operation.name},
                                 {"what", operation.what},
                                 {"measures", "service time, one run after the other, uncorrected"},
                                 {"service", quantiles_json(histogram_of(result))},
                                 {"noise_floor", quantiles_json(floor_of(result))},
                                 {"fast_path_ns", fast_path_ns},
                                 {"median_us", result.median_us},
                                 {"threshold_us", result.threshold_us},
                                 {"slow", result.slow_total},
                                 {"excess_us", result.excess_us},
                                 {"explained_share", explained_share(result)},
                                 {"run_delay_known", result.knows_run_delay}};
  for (const auto& [cause, sum] : sums_of(result)) {
    json["causes"][std::string(to_string(cause))] = {{"samples", sum.samples},
                                                     {"explained_us", sum.explained_us}};
  }
  for (const SlowSample& sample : slowest_of(result, 10)) {
    json["slowest"].push_back({{"index", sample.index},
                               {"at_s", sample.at_s},
                               {"duration_us", sample.duration_us},
                               {"causes", text_of(sample.causes, sample.evidence.excess_us)}});
  }
  return json;
}

std::vector<plot::Figure> figures_of(const Operation& operation, const ProbeResult& result) {
  std::vector<double> durations;
  std::vector<plot::TimedSample> timed;
  const std::uint64_t first = result.samples.empty() ? 0 : result.samples.front().start_ticks;
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    durations.push_back(result.duration_us(i));
    const double ticks = static_cast<double>(result.samples[i].start_ticks - first);
    timed.push_back({ticks * result.us_per_tick * 1e-6, durations.back()});
  }
  plot::Spectrum floor = plot::spectrum_of("noise floor: control thread", result.control_late_us);
  floor.dashed = true;
  const std::string measured = "service time of " + operation.what +
                               ", n = " + std::to_string(durations.size()) +
                               ", one run after the other";
  std::vector<plot::Figure> figures;
  figures.push_back(plot::spectrum_figure(
      {"probe_spectrum_" + operation.name, "Percentiles of " + operation.name, measured},
      {plot::spectrum_of(operation.name, std::move(durations)), floor}));
  figures.push_back(
      plot::heat_figure({"probe_heat_" + operation.name, operation.name + " over time", measured},
                        plot::heat_of(timed)));
  return figures;
}

void print_table(const Operation& operation, const ProbeResult& result, double fast_path_ns,
                 std::size_t slowest_shown) {
  std::printf("%s: %s\n", operation.name.c_str(), operation.what.c_str());
  print_quantiles("service", histogram_of(result));
  print_quantiles("noise floor", floor_of(result));
  std::printf(
      "  slow: %zu runs over %s (median %s); %s beyond it, %.0f %% explained; "
      "a run costs %.0f ns beside the operation\n",
      result.slow_total, micros(result.threshold_us).c_str(), micros(result.median_us).c_str(),
      micros(result.excess_us).c_str(), 100.0 * explained_share(result), fast_path_ns);
  for (const auto& [cause, sum] : sums_of(result)) {
    std::printf("    %-14s %6zu runs  %s\n", std::string(to_string(cause)).c_str(), sum.samples,
                micros(sum.explained_us).c_str());
  }
  for (const SlowSample& sample : slowest_of(result, slowest_shown)) {
    std::printf("    #%-8zu at %8.3f s  %10s  %s\n", sample.index, sample.at_s,
                micros(sample.duration_us).c_str(),
                text_of(sample.causes, sample.evidence.excess_us).c_str());
  }
}

}  // namespace vecserve::tailprobe
