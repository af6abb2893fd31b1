// From runs to figures. Comes before tools/plot; main thread.
// Always holds: all renderings of a run come from the same
// figures.
#include "tools/loadgen/write_views.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>

#include "tools/plot/report.h"
#include "tools/plot/svg.h"
#include "tools/plot/terminal.h"

namespace vecserve::loadgen {
namespace {

using engine::Histogram;

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

std::string subtitle_of(const LoadRun& run) {
  const Summary& summary = run.report.summary;
  return std::string(summary.closed_loop ? "CLOSED LOOP, service time"
                                         : "response time from the intended start") +
         ", n = " + std::to_string(summary.response.total()) + ", host noise p99 " +
         duration_text(static_cast<double>(summary.noise.value_at(0.99))) + ", " +
         to_string(run.report.judgement.verdict);
}

// The share of a run's samples that are independent, at its p99.
double effective_share(const Summary& summary) {
  const engine::QuantileEstimate& p99 = summary.quantiles[3];
  if (p99.samples == 0 || p99.effective_samples <= 0.0) return 1.0;
  return p99.effective_samples / static_cast<double>(p99.samples);
}

plot::Figure spectrum_figure(const LoadRun& run) {
  const Summary& summary = run.report.summary;
  std::vector<plot::Spectrum> spectra;
  spectra.push_back(spectrum_of("response", summary.response, effective_share(summary)));
  spectra.push_back(spectrum_of("service", summary.service, effective_share(summary)));
  spectra.push_back(spectrum_of("sender lag", summary.lag, 1.0));
  if (summary.noise.total() > 0) {
    spectra.push_back(spectrum_of("host noise", summary.noise, 1.0));
    spectra.back().dashed = true;
  }
  return plot::spectrum_figure({"spectrum", "Latency by percentile", subtitle_of(run)}, spectra);
}

plot::Figure heat_figure(const LoadRun& run) {
  std::vector<plot::TimedSample> samples;
  for (std::size_t i = 0; i < run.result.sent; ++i) {
    const Record& record = run.records->all()[i];
    if (record.outcome != Outcome::ok) continue;
    samples.push_back({static_cast<double>(record.intended_ns) / 1e9,
                       us(std::max<std::uint64_t>(1, record.done_ns - record.intended_ns))});
  }
  return plot::heat_figure({"heat", "Latency over time", subtitle_of(run)}, plot::heat_of(samples));
}

plot::Figure curve_of(const std::vector<SweepPoint>& points,
                      const std::optional<plot::Knee>& knee) {
  std::vector<plot::LoadPoint> load;
  for (const SweepPoint& point : points) {
    load.push_back({point.rate, point.p50.missing > 0 ? 0.0 : us(point.p50.value),
                    point.p99.missing > 0 ? 0.0 : us(point.p99.value)});
  }
  return plot::curve_figure(
      {"curve", "Latency against offered load", "response time from the intended start"}, load,
      knee);
}

std::string page(const std::string& title, const std::vector<plot::Figure>& figures) {
  plot::Report report;
  report.title = title;
  plot::Section section;
  section.heading = "Figures";
  section.figures = figures;
  report.sections.push_back(section);
  return plot::to_html(report);
}

std::string terminal(const plot::Figure& figure) {
  plot::TerminalOptions options;
  options.color = isatty(STDOUT_FILENO) == 1;
  return plot::to_terminal(figure, options);
}

const char* decision_text(Decision decision) {
  return decision == Decision::pass ? "pass" : decision == Decision::fail ? "fail" : "open";
}

std::string estimate_text(const engine::QuantileEstimate& estimate) {
  if (estimate.missing > 0) return "-";
  return duration_text(static_cast<double>(estimate.value));
}

}  // namespace

plot::Spectrum spectrum_of(const std::string& name, const Histogram& histogram, double effective) {
  constexpr std::array<double, 22> grid = {0.01,    0.05,     0.1,      0.25,    0.5,     0.75,
                                           0.9,     0.95,     0.975,    0.99,    0.995,   0.9975,
                                           0.999,   0.9995,   0.9998,   0.9999,  0.99995, 0.99998,
                                           0.99999, 0.999995, 0.999998, 0.999999};
  plot::Spectrum spectrum;
  spectrum.name = name;
  spectrum.count = histogram.total();
  spectrum.max_us = us(histogram.max());
  for (const double p : grid) {
    const engine::QuantileEstimate estimate =
        engine::estimate_quantile(histogram, p, effective * static_cast<double>(histogram.total()),
                                  engine::kConfidence, true);
    if (estimate.missing > 0) continue;
    // A logarithmic axis has no zero.
    const auto shown = [](std::uint64_t ns) { return us(std::max<std::uint64_t>(1, ns)); };
    spectrum.points.push_back(
        {p, shown(estimate.value), shown(estimate.lower), shown(estimate.upper)});
  }
  return spectrum;
}

void print_views(std::ostream& out, const LoadRun& run) {
  if (run.report.summary.response.total() == 0) return;
  out << '\n' << terminal(spectrum_figure(run)) << '\n' << terminal(heat_figure(run));
}

std::string views_svg(const LoadRun& run) {
  return plot::to_svg(spectrum_figure(run), plot::SvgPlace::file);
}

std::string views_html(const LoadRun& run) {
  return page("loadgen: " + run.report.title.target, {spectrum_figure(run), heat_figure(run)});
}

void print_sweep_head(std::ostream& out, bool searched) {
  out << "response time from the intended start\n"
         "      rate    answered          p50          p99           n "
      << (searched ? "  over limit" : "") << '\n';
}

void print_sweep_point(std::ostream& out, const SweepPoint& point, bool searched) {
  char line[200];
  std::snprintf(line, sizeof(line), "%10.6g  %10.6g %12s %12s %11llu ", point.rate, point.goodput,
                estimate_text(point.p50).c_str(), estimate_text(point.p99).c_str(),
                static_cast<unsigned long long>(point.samples));
  out << line;
  if (searched) {
    std::snprintf(line, sizeof(line), "%10.3f %%  %s", 100.0 * point.share_over,
                  decision_text(point.decision));
    out << line;
  }
  out << "  " << to_string(point.judgement.verdict) << std::endl;
}

void print_curve(std::ostream& out, const std::vector<SweepPoint>& points,
                 const std::optional<plot::Knee>& knee) {
  out << '\n' << terminal(curve_of(points, knee));
}

std::string curve_svg(const std::vector<SweepPoint>& points,
                      const std::optional<plot::Knee>& knee) {
  return plot::to_svg(curve_of(points, knee), plot::SvgPlace::file);
}

std::string curve_html(const std::vector<SweepPoint>& points,
                       const std::optional<plot::Knee>& knee) {
  return page("loadgen: latency against load", {curve_of(points, knee)});
}

std::optional<plot::Knee> knee_mark(const KneeResult& found, const std::string& slo_text) {
  const Result<Slo> slo = parse_slo(slo_text);
  if (!slo.ok() || found.search.passed() <= 0.0) return std::nullopt;
  return plot::Knee{found.search.passed(), us(slo->limit_ns), slo_text};
}

nlohmann::ordered_json knee_json(const KneeResult& found, const Settings& settings) {
  nlohmann::ordered_json json = {{"tool", "loadgen"},
                                 {"slo", settings.slo},
                                 {"target", settings.target},
                                 {"passed_per_s", found.search.passed()},
                                 {"knee_per_s", found.search.knee()},
                                 {"enclosed", found.search.enclosed()},
                                 {"seed", settings.seed}};
  for (const SweepPoint& point : found.points) {
    json["steps"].push_back(
        {{"rate", point.rate},
         {"decision", decision_text(point.decision)},
         {"share_over", point.share_over},
         {"n", point.samples},
         {"p99_us", point.p99.missing > 0 ? nlohmann::ordered_json()
                                          : nlohmann::ordered_json(us(point.p99.value))},
         {"verdict", to_string(point.judgement.verdict)}});
  }
  return json;
}

void print_knee(std::ostream& out, const KneeResult& found, const std::string& slo_text) {
  char line[240];
  std::snprintf(line, sizeof(line),
                "\n%s holds at %.6g/s (a rate that breaks it passes in at most 1 %% of searches); "
                "the knee is near %.6g/s\n%zu runs%s\n",
                slo_text.c_str(), found.search.passed(), found.search.knee(), found.points.size(),
                found.search.enclosed() ? "" : "; the knee was not enclosed");
  out << line;
}

}  // namespace vecserve::loadgen
