// What a plot is before anything draws it: axes, lines with bands, cells, bars, rules and marks.
// Views (views.h) make figures out of measurements; svg.h, terminal.h and report.h draw them, so
// that all renderings of one figure say the same. Plain data; whoever makes one owns it.
// Always holds: values are in the units that Quantity names, and a figure says what it shows, of
// how many samples, in its subtitle.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vecserve::plot {

// What an axis counts in; decides how its numbers are written.
enum class Quantity { plain, micros, seconds, per_second, share, percentile };

// How values become positions. `nines` takes a fraction p and shows -log10(1 - p), so that each
// further nine of a percentile has the same width.
enum class ScaleKind { linear, log10, nines };

struct Axis {
  std::string label;
  Quantity quantity = Quantity::plain;
  ScaleKind scale = ScaleKind::linear;
  double low = 0.0;
  double high = 1.0;  // above low; of a log10 axis both are above 0, of nines below 1
};

struct Point {
  double x = 0.0;
  double y = 0.0;
};

struct BandPoint {
  double x = 0.0;
  double low = 0.0;
  double high = 0.0;
};

// Points in rising x. `color` counts through the palette and, where there is no colour, picks the
// letter or dash that tells lines apart.
struct Line {
  std::string name;
  std::vector<Point> points;
  std::vector<BandPoint> band;  // empty: no interval is known
  std::size_t color = 0;
  bool dashed = false;
  bool markers = false;
};

// A straight line across the whole plot: a target, a noise floor, a knee.
struct Rule {
  bool vertical = false;
  double at = 0.0;
  std::string label;
};

// One point worth a word.
struct Mark {
  double x = 0.0;
  double y = 0.0;
  std::string label;
  std::size_t color = 0;
};

// A rectangle of a heat map; heat is from 0 (not drawn) to 1.
struct Cell {
  double x_low = 0.0;
  double x_high = 0.0;
  double y_low = 0.0;
  double y_high = 0.0;
  double heat = 0.0;
  std::string note;
};

// A piece of a row of a waterfall.
struct Bar {
  std::size_t row = 0;
  double start = 0.0;
  double end = 0.0;
  std::size_t color = 0;
  std::string note;
};

struct LegendEntry {
  std::string name;
  std::size_t color = 0;
  bool dashed = false;
};

struct Figure {
  std::string name;      // for anchors and files: a word
  std::string title;     // what one should see
  std::string subtitle;  // response or service time, corrected or not, n, interval, noise floor
  Axis x;
  Axis y;
  std::vector<Line> lines;
  std::vector<Cell> cells;
  std::vector<Bar> bars;
  std::vector<std::string> row_labels;  // of a waterfall; its y axis counts rows from the top
  std::vector<Rule> rules;
  std::vector<Mark> marks;
  std::vector<LegendEntry> legend;
  std::string note;  // what it could not show, and why; "" when nothing is missing
};

}  // namespace vecserve::plot
