// What tailprobe shows: a table and plots for people, one JSON object per operation for programs,
// and figures for reports (lab uses them). After probe.h; pure but for print_...(), which write to
// standard output.
// Always holds: a percentile without the samples to support it is not shown; what is measured is
// called service time, because runs follow each other and nothing is corrected.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "tools/plot/figure.h"
#include "tools/tailprobe/probe.h"

namespace vecserve::tailprobe {

[[nodiscard]] nlohmann::ordered_json to_json(const Operation& operation, const ProbeResult& result,
                                             double fast_path_ns);
// Spectrum with the noise floor, and latency over time.
[[nodiscard]] std::vector<plot::Figure> figures_of(const Operation& operation,
                                                   const ProbeResult& result);
void print_table(const Operation& operation, const ProbeResult& result, double fast_path_ns,
                 std::size_t slowest_shown);

}  // namespace vecserve::tailprobe
