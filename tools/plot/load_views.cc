// Views that need no percentile arithmetic: curves over the offered load, and waterfalls of single
// requests. Beside views.cc, declared in views.h. Pure functions.
// Always holds: axes contain every drawn value; a step whose percentile is unsupported leaves a gap
// and a note, never a made-up point.
#include <algorithm>

#include "tools/plot/scale.h"
#include "tools/plot/views.h"

namespace vecserve::plot {
namespace {

// A rule at the very top of a plot would have no place for its label.
constexpr double kHeadroom = 1.08;

}  // namespace

Figure curve_figure(const Caption& caption, std::vector<LoadPoint> points,
                    const std::optional<Knee>& knee) {
  Figure figure;
  figure.name = caption.name;
  figure.title = caption.title;
  figure.subtitle = caption.subtitle;
  figure.x = {"offered load", Quantity::per_second, ScaleKind::linear, 0.0, 1.0};
  figure.y = {"latency", Quantity::micros, ScaleKind::log10, 1.0, 10.0};
  std::sort(points.begin(), points.end(),
            [](const LoadPoint& a, const LoadPoint& b) { return a.offered < b.offered; });
  Line p50{"p50", {}, {}, 0, false, true};
  Line p99{"p99", {}, {}, 1, false, true};
  double low = 0.0, high = 0.0, rate = 0.0;
  std::size_t missing = 0;
  for (const LoadPoint& point : points) {
    rate = std::max(rate, point.offered);
    for (const double value : {point.p50_us, point.p99_us}) {
      if (value <= 0.0) continue;
      low = low == 0.0 ? value : std::min(low, value);
      high = std::max(high, value);
    }
    if (point.p50_us > 0.0) p50.points.push_back({point.offered, point.p50_us});
    if (point.p99_us > 0.0) p99.points.push_back({point.offered, point.p99_us});
    if (point.p50_us <= 0.0 || point.p99_us <= 0.0) ++missing;
  }
  if (knee) {
    high = std::max(high, knee->slo_us * kHeadroom);
    rate = std::max(rate, knee->rate);
    figure.rules.push_back({false, knee->slo_us, "target " + knee->slo_text});
    figure.rules.push_back({true, knee->rate, "knee " + text_of(Quantity::per_second, knee->rate)});
  }
  if (missing > 0) {
    figure.note = std::to_string(missing) + " of " + std::to_string(points.size()) +
                  " steps lack the samples for a percentile, which is left out.";
  }
  fit_linear(figure.x, rate);
  fit_log(figure.y, low, high);
  figure.legend = {{"p50", 0, false}, {"p99", 1, false}};
  figure.lines = {std::move(p50), std::move(p99)};
  return figure;
}

Figure goodput_figure(const Caption& caption, const std::vector<GoodputSeries>& series,
                      double capacity) {
  Figure figure;
  figure.name = caption.name;
  figure.title = caption.title;
  figure.subtitle = caption.subtitle;
  figure.x = {"offered load", Quantity::per_second, ScaleKind::linear, 0.0, 1.0};
  figure.y = {"answered in time", Quantity::per_second, ScaleKind::linear, 0.0, 1.0};
  double offered = capacity, good = capacity;
  for (std::size_t i = 0; i < series.size(); ++i) {
    Line line{series[i].name, series[i].points, {}, i, false, true};
    std::sort(line.points.begin(), line.points.end(),
              [](const Point& a, const Point& b) { return a.x < b.x; });
    for (const Point& point : line.points) {
      offered = std::max(offered, point.x);
      good = std::max(good, point.y);
    }
    figure.legend.push_back({line.name, i, false});
    figure.lines.push_back(std::move(line));
  }
  fit_linear(figure.x, offered);
  fit_linear(figure.y, good * kHeadroom);
  const double corner = std::min(figure.x.high, figure.y.high);
  const std::size_t color = series.size();
  figure.lines.push_back({"all in time", {{0.0, 0.0}, {corner, corner}}, {}, color, true, false});
  figure.legend.push_back({"all in time", color, true});
  if (capacity > 0.0) {
    figure.rules.push_back(
        {false, capacity, "capacity " + text_of(Quantity::per_second, capacity)});
  }
  return figure;
}

Figure waterfall_figure(const Caption& caption, const std::vector<std::string>& stages,
                        const std::vector<RequestTrace>& requests) {
  Figure figure;
  figure.name = caption.name;
  figure.title = caption.title;
  figure.subtitle = caption.subtitle;
  figure.x = {"since the intended start", Quantity::micros, ScaleKind::linear, 0.0, 1.0};
  figure.y = {"", Quantity::plain, ScaleKind::linear, 0.0,
              std::max(1.0, static_cast<double>(requests.size()))};
  double end = 0.0;
  for (std::size_t row = 0; row < requests.size(); ++row) {
    figure.row_labels.push_back(requests[row].label);
    for (const StageSpan& span : requests[row].spans) {
      if (!(span.end_us > span.start_us) || span.stage >= stages.size()) continue;
      end = std::max(end, span.end_us);
      figure.bars.push_back(
          {row, span.start_us, span.end_us, span.stage,
           stages[span.stage] + ": " + text_of(Quantity::micros, span.end_us - span.start_us)});
    }
  }
  fit_linear(figure.x, end);
  for (std::size_t i = 0; i < stages.size(); ++i) figure.legend.push_back({stages[i], i, false});
  if (requests.empty()) figure.note = "There was no request.";
  return figure;
}

}  // namespace vecserve::plot
