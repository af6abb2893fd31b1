// The figures that the plot tests draw: one of each view, from formulas, so that every machine
// makes the same ones. Shared by the golden test and the test that looks through a browser.
// Always holds: no random numbers, no clock, and values far enough from rounding edges that one
// decimal of a position is the same wherever it is computed.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tools/plot/report.h"
#include "tools/plot/views.h"

namespace vecserve::plot {

// `count` samples: a body around `body_us` and every `rare`-th one slower by up to `stall_us`.
inline std::vector<double> sample_latencies(std::size_t count, double body_us, std::size_t rare,
                                            double stall_us) {
  std::vector<double> samples;
  for (std::size_t i = 0; i < count; ++i) {
    const double share = static_cast<double>((i * 7919) % count) / static_cast<double>(count);
    double us = body_us * (1.0 + 0.5 * share);
    if (i % rare == 0) us += stall_us * static_cast<double>(i % 97 + 3) / 100.0;
    samples.push_back(us);
  }
  return samples;
}

inline Figure sample_spectrum() {
  Spectrum floor = spectrum_of("noise floor", sample_latencies(400, 11.0, 90, 35.0));
  floor.dashed = true;
  return spectrum_figure({"spectrum", "Percentile spectrum", "response time, noise floor beside"},
                         {spectrum_of("service", sample_latencies(4000, 410.0, 130, 20e3)), floor});
}

inline Figure sample_overlay() {
  return overlay_figure({"overlay", "Hedged against unhedged", "response time, one schedule"},
                        spectrum_of("unhedged", sample_latencies(4000, 410.0, 130, 20e3)),
                        spectrum_of("hedged", sample_latencies(4000, 415.0, 130, 3e3)));
}

inline Figure sample_heat() {
  std::vector<TimedSample> samples;
  const std::vector<double> latencies = sample_latencies(2000, 410.0, 130, 20e3);
  for (std::size_t i = 0; i < latencies.size(); ++i) {
    const double at_s = static_cast<double>(i) * 0.005 + 0.0021;
    const bool stalled = at_s > 6.0 && at_s < 7.0;
    samples.push_back({at_s, latencies[i] + (stalled ? (7.0 - at_s) * 1e6 : 0.0)});
  }
  return heat_figure({"heat", "Latency over time", "a stall of 1 s at 6 s"},
                     heat_of(samples, 40, 16));
}

inline Figure sample_curve() {
  std::vector<LoadPoint> points;
  for (double rate = 1000.0; rate < 9999.0; rate += 1000.0) {
    points.push_back({rate, 300.0 / (1.0 - rate / 10500.0), 900.0 / (1.0 - rate / 10500.0)});
  }
  points.back().p99_us = 0.0;  // a step with too few samples
  return curve_figure({"curve", "Throughput and latency", "response time"}, points,
                      Knee{7200.0, 5000.0, "p99 = 5 ms"});
}

inline Figure sample_goodput() {
  std::vector<Point> bounded, unbounded;
  for (double rate = 1500.0; rate < 30001.0; rate += 1500.0) {
    bounded.push_back({rate, std::min(rate, 9800.0)});
    unbounded.push_back({rate, rate < 9800.0 ? rate : 9800.0 * 9800.0 / rate / 8.0});
  }
  return goodput_figure({"goodput", "Goodput against offered load", "answered within 10 ms"},
                        {{"bounded", bounded}, {"unbounded", unbounded}}, 10000.0);
}

inline Figure sample_waterfall() {
  std::vector<RequestTrace> requests;
  for (std::size_t i = 0; i < 5; ++i) {
    RequestTrace request{"#" + std::to_string(100 + i), {}};
    double at = 0.0;
    for (std::size_t stage = 0; stage < 6; ++stage) {
      const double length = static_cast<double>((i * 31 + stage * 17) % 23 + 1) * 130.0;
      request.spans.push_back({stage, at, at + length});
      at += length;
    }
    requests.push_back(std::move(request));
  }
  return waterfall_figure({"waterfall", "The worst requests", "where their time went"},
                          {"sender lag", "network", "queue", "batch", "scan", "send"}, requests);
}

inline std::vector<Figure> sample_figures() {
  return {sample_spectrum(), sample_overlay(), sample_heat(),
          sample_curve(),    sample_goodput(), sample_waterfall()};
}

inline Report sample_report() {
  return {"A report & its figures",
          "One of each view.",
          {{"machine", "none"}, {"command", "unit_tools"}},
          {{"All views",
            {"Drawn from formulas; <nothing> is measured."},
            {{"a table", {"what", "p50"}, {{"service", "410 µs"}}}},
            sample_figures()}}};
}

}  // namespace vecserve::plot
