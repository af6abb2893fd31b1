// Pictures of runs, sweeps and searches, for the terminal, as SVG and as a page. Comes after the
// summary, before tools/plot, which draws; main thread. Always holds: a picture shows no percentile
// that the table would refuse, and its subtitle says that it is response time.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/loadgen/commands.h"
#include "tools/loadgen/find_knee.h"
#include "tools/loadgen/run_load.h"
#include "tools/plot/views.h"

namespace vecserve::loadgen {

// A histogram as a percentile spectrum with bands, as far as its samples go. `effective` is the
// share of its samples that are independent.
[[nodiscard]] plot::Spectrum spectrum_of(const std::string& name,
                                         const engine::Histogram& histogram, double effective);

void print_views(std::ostream& out, const LoadRun& run);
[[nodiscard]] std::string views_svg(const LoadRun& run);
[[nodiscard]] std::string views_html(const LoadRun& run);

// `searched`: with the share of broken limits and what was decided.
void print_sweep_head(std::ostream& out, bool searched);
void print_sweep_point(std::ostream& out, const SweepPoint& point, bool searched);
void print_curve(std::ostream& out, const std::vector<SweepPoint>& points,
                 const std::optional<plot::Knee>& knee);
[[nodiscard]] std::string curve_svg(const std::vector<SweepPoint>& points,
                                    const std::optional<plot::Knee>& knee);
[[nodiscard]] std::string curve_html(const std::vector<SweepPoint>& points,
                                     const std::optional<plot::Knee>& knee);

[[nodiscard]] std::optional<plot::Knee> knee_mark(const KneeResult& found,
                                                  const std::string& slo_text);
[[nodiscard]] nlohmann::ordered_json knee_json(const KneeResult& found, const Settings& settings);
void print_knee(std::ostream& out, const KneeResult& found, const std::string& slo_text);

}  // namespace vecserve::loadgen
