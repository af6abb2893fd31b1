// The SVG rendering: one writer that appends elements in painting order (grid, cells, bands, lines,
// bars, rules, marks), so that what must be read is never under what decorates. After scale.h and
// style.h; one writer per call, so any thread.
// Always holds: coordinates are written with one decimal by snprintf in the C locale of numbers.
#include "tools/plot/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "tools/plot/scale.h"
#include "tools/plot/style.h"

namespace vecserve::plot {
namespace {

constexpr double kWidth = 840.0;
constexpr double kPlotHeight = 320.0;
constexpr double kRowHeight = 24.0;
constexpr double kBottom = 52.0;
constexpr double kRight = 28.0;
constexpr double kCharWidth = 6.7;       // of 12 px text, on average; decides where words fit
constexpr std::size_t kLineChars = 122;  // of a subtitle

std::string number(double value) {
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.1f", value);
  const std::string text = buffer.data();
  return text == "-0.0" ? "0.0" : text;
}

// One more corner of a path.
void extend(std::string& path, double x, double y) {
  path.append(path.empty() ? "M" : "L").append(number(x)).append(" ").append(number(y));
}

// Characters, not bytes.
double width_of(const std::string& text) {
  const auto chars = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  return static_cast<double>(chars) * kCharWidth;
}

std::vector<std::string> wrapped(const std::string& text, std::size_t chars_max) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find(' ', from), text.size());
    const std::string word = text.substr(from, end - from);
    if (!line.empty() && line.size() + 1 + word.size() > chars_max) {
      lines.push_back(line);
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    from = end + 1;
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

class Writer {
 public:
  Writer(const Figure& figure, SvgPlace place) : figure_(figure), place_(place) { lay_out(); }

  std::string write() {
    open();
    grid();
    out_ += "<g class=\"data\">\n";
    for (const Cell& cell : figure_.cells) draw(cell);
    for (const Line& line : figure_.lines) draw_band(line);
    for (const Line& line : figure_.lines) draw(line);
    for (const Bar& bar : figure_.bars) draw(bar);
    out_ += "</g>\n";
    for (const Rule& rule : figure_.rules) draw(rule);
    for (const Mark& mark : figure_.marks) draw(mark);
    legend();
    notes();
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  bool is_waterfall() const { return !figure_.row_labels.empty(); }

  void lay_out() {
    left_ = 76.0;
    for (const std::string& label : figure_.row_labels) {
      left_ = std::max(left_, std::min(260.0, width_of(label) + 24.0));
    }
    double y = 14.0;
    if (place_ == SvgPlace::file) {
      title_y_ = y + 14.0;
      y += 26.0;
      subtitle_ = wrapped(figure_.subtitle, kLineChars);
      subtitle_y_ = y + 12.0;
      y += 17.0 * static_cast<double>(subtitle_.size());
      note_ = wrapped(figure_.note, kLineChars);
    }
    lay_out_legend(y);
    plot_width_ = kWidth - left_ - kRight;
    plot_height_ = is_waterfall()
                       ? kRowHeight * static_cast<double>(figure_.row_labels.size()) + 8.0
                       : kPlotHeight;
    height_ = top_ + plot_height_ + kBottom + 16.0 * static_cast<double>(note_.size());
  }

  // Legend entries fill lines from the left.
  void lay_out_legend(double y) {
    double x = left_;
    for (const LegendEntry& entry : figure_.legend) {
      const double width = width_of(entry.name) + 46.0;
      if (x > left_ && x + width > kWidth - kRight) {
        x = left_;
        y += 20.0;
      }
      legend_at_.push_back({x, y + 8.0});
      x += width;
    }
    top_ = y + (figure_.legend.empty() ? 8.0 : 30.0);
  }

  double x_of(double value) const { return left_ + plot_width_ * position(figure_.x, value); }
  double y_of(double value) const {
    return top_ + plot_height_ * (1.0 - position(figure_.y, value));
  }
  static std::string color(char kind, std::size_t index) {
    return std::string(1, kind) + std::to_string(index % kColorCount);
  }

  void text(double x, double y, const char* classes, const char* anchor, const std::string& words) {
    out_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" class=\"" + classes +
            "\" text-anchor=\"" + anchor + "\">" + escaped(words) + "</text>\n";
  }
  void segment(double x1, double y1, double x2, double y2, const std::string& classes) {
    out_ += "<path d=\"M" + number(x1) + " " + number(y1) + "L" + number(x2) + " " + number(y2) +
            "\" class=\"" + classes + "\"/>\n";
  }
  void rectangle(double x, double y, double width, double height, const std::string& classes,
                 const std::string& note, const char* more = "") {
    out_ += "<rect x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" + number(width) +
            "\" height=\"" + number(height) + "\" class=\"" + classes + "\"" + more + ">" +
            (note.empty() ? "" : "<title>" + escaped(note) + "</title>") + "</rect>\n";
  }
  void dot(const Point& at, std::size_t index, double radius, const std::string& note) {
    out_ += "<circle cx=\"" + number(x_of(at.x)) + "\" cy=\"" + number(y_of(at.y)) + "\" r=\"" +
            number(radius) + "\" class=\"" + color('f', index) + "\"><title>" + escaped(note) +
            "</title></circle>\n";
  }

  void open() {
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"vp\" role=\"img\" viewBox=\"0 0 " +
           number(kWidth) + " " + number(height_) + "\" data-figure=\"" + escaped(figure_.name) +
           "\" aria-label=\"" + escaped(figure_.title) + "\">\n";
    if (place_ != SvgPlace::file) return;
    out_ += "<style>" + std::string(kStyle) + "</style>\n";
    text(20.0, title_y_, "title", "start", figure_.title);
    for (std::size_t i = 0; i < subtitle_.size(); ++i) {
      text(20.0, subtitle_y_ + 17.0 * static_cast<double>(i), "soft", "start", subtitle_[i]);
    }
  }

  void grid() {
    const double bottom = top_ + plot_height_, right = left_ + plot_width_;
    for (const Tick& tick : ticks(figure_.x, 10)) {
      segment(x_of(tick.value), top_, x_of(tick.value), bottom, "grid");
      text(x_of(tick.value), bottom + 18.0, "soft", "middle", tick.text);
    }
    if (is_waterfall()) {
      for (std::size_t row = 0; row < figure_.row_labels.size(); ++row) {
        text(left_ - 10.0, row_y(row) + 16.0, "soft", "end", figure_.row_labels[row]);
      }
    } else {
      for (const Tick& tick : ticks(figure_.y, 10)) {
        segment(left_, y_of(tick.value), right, y_of(tick.value), "grid");
        text(left_ - 10.0, y_of(tick.value) + 4.0, "soft", "end", tick.text);
      }
      out_ += "<text transform=\"translate(16 " + number(top_ + plot_height_ / 2.0) +
              ") rotate(-90)\" text-anchor=\"middle\">" + escaped(figure_.y.label) + "</text>\n";
    }
    segment(left_, bottom, right, bottom, "edge");
    text(left_ + plot_width_ / 2.0, bottom + 40.0, "axis", "middle", figure_.x.label);
  }

  void draw(const Cell& cell) {
    const auto step = std::clamp(std::ceil(cell.heat * static_cast<double>(kHeatCount)), 1.0,
                                 static_cast<double>(kHeatCount));
    const double x = x_of(cell.x_low), y = y_of(cell.y_high);
    rectangle(x, y, x_of(cell.x_high) - x + 0.3, y_of(cell.y_low) - y + 0.3,
              std::string("h").append(std::to_string(static_cast<int>(step))), cell.note);
  }

  void draw_band(const Line& line) {
    if (line.band.size() < 2) return;
    std::string path;
    for (const BandPoint& point : line.band) {
      extend(path, x_of(point.x), y_of(point.high));
    }
    for (std::size_t i = line.band.size(); i-- > 0;) {
      extend(path, x_of(line.band[i].x), y_of(line.band[i].low));
    }
    out_ += "<path d=\"" + path + "Z\" class=\"band " + color('f', line.color) + "\"/>\n";
  }

  std::string note_of(const Line& line, const Point& point) const {
    return line.name + ": " + text_of(figure_.y.quantity, point.y) + " at " +
           text_of(figure_.x.quantity, point.x);
  }

  void draw(const Line& line) {
    if (line.points.empty()) return;
    std::string path;
    for (const Point& point : line.points) {
      extend(path, x_of(point.x), y_of(point.y));
    }
    out_ += "<path d=\"" + path + "\" class=\"line " + color('s', line.color) +
            (line.dashed ? " dash" : "") + "\"><title>" + escaped(line.name) + "</title></path>\n";
    if (line.markers) {
      for (const Point& point : line.points) dot(point, line.color, 3.5, note_of(line, point));
    } else if (figure_.x.scale == ScaleKind::nines) {
      // Something to point at where a percentile has a name.
      for (const Tick& tick : ticks(figure_.x, 10)) {
        const auto at = std::find_if(line.points.begin(), line.points.end(),
                                     [&](const Point& p) { return p.x >= tick.value - 1e-12; });
        if (at != line.points.end()) dot(*at, line.color, 3.0, note_of(line, *at));
      }
    }
  }

  double row_y(std::size_t row) const { return top_ + 4.0 + kRowHeight * static_cast<double>(row); }

  void draw(const Bar& bar) {
    const double x = x_of(bar.start);
    const double width = std::max(1.0, x_of(bar.end) - x - 0.6);  // a seam between stages
    rectangle(x, row_y(bar.row) + 3.0, width, kRowHeight - 6.0, color('f', bar.color), bar.note,
              " rx=\"2\"");
  }

  void draw(const Rule& rule) {
    const double right = left_ + plot_width_;
    if (!rule.vertical) {
      segment(left_, y_of(rule.at), right, y_of(rule.at), "rule");
      text(left_ + 6.0, y_of(rule.at) - 6.0, "halo", "start", rule.label);
      return;
    }
    const double x = x_of(rule.at);
    segment(x, top_, x, top_ + plot_height_, "rule");
    const bool room = x + width_of(rule.label) + 8.0 < right;
    text(room ? x + 6.0 : x - 6.0, top_ + 14.0, "halo", room ? "start" : "end", rule.label);
  }

  void draw(const Mark& mark) {
    const double x = x_of(mark.x), y = y_of(mark.y);
    dot({mark.x, mark.y}, mark.color, 4.5, mark.label);
    const bool room = x + width_of(mark.label) + 12.0 < left_ + plot_width_;
    const double below = y + 22.0 < top_ + plot_height_ ? y + 18.0 : y - 10.0;
    text(room ? x + 8.0 : x - 8.0, below, "halo", room ? "start" : "end", mark.label);
  }

  void legend() {
    for (std::size_t i = 0; i < figure_.legend.size(); ++i) {
      const LegendEntry& entry = figure_.legend[i];
      const double x = legend_at_[i].x, y = legend_at_[i].y;
      if (is_waterfall()) {
        rectangle(x, y - 5.0, 18.0, 10.0, color('f', entry.color), "", " rx=\"2\"");
      } else {
        segment(
            x, y, x + 18.0, y,
            std::string("line ").append(color('s', entry.color)) + (entry.dashed ? " dash" : ""));
      }
      text(x + 25.0, y + 4.0, "name", "start", entry.name);
    }
  }

  void notes() {
    for (std::size_t i = 0; i < note_.size(); ++i) {
      text(20.0, height_ - 8.0 - 16.0 * static_cast<double>(note_.size() - 1 - i), "soft", "start",
           note_[i]);
    }
  }

  const Figure& figure_;
  const SvgPlace place_;
  std::string out_;
  std::vector<std::string> subtitle_, note_;
  std::vector<Point> legend_at_;
  double left_ = 0.0, top_ = 0.0, plot_width_ = 0.0, plot_height_ = 0.0, height_ = 0.0;
  double title_y_ = 0.0, subtitle_y_ = 0.0;
};

}  // namespace

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        // XML knows no control characters; a label that holds one shows a blank.
        safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return safe;
}

std::string to_svg(const Figure& figure, SvgPlace place) {
  return Writer(figure, place).write();
}

}  // namespace vecserve::plot
