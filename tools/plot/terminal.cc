// The terminal rendering: a grid of cells, each one character with a colour, filled by the layers
// of the figure and printed with axes around it. After scale.h; one grid per call, any thread.
// Always holds: writing outside the grid is ignored, so a label near the edge is cut, not wrapped.
#include "tools/plot/terminal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "tools/plot/scale.h"

namespace vecserve::plot {
namespace {

constexpr std::size_t kColumnsMin = 40;
constexpr std::size_t kRowsMin = 5;
// Blue, yellow, green, magenta, grey, red: far apart in every common scheme.
constexpr std::array<int, 6> kColors = {94, 33, 36, 35, 90, 31};
constexpr std::array<std::u32string_view, 5> kShades = {U" ", U"░", U"▒", U"▓", U"█"};
constexpr std::u32string_view kPatterns = U"█▒░▓▚▞";
constexpr std::array<std::array<std::uint8_t, 4>, 2> kBraille = {
    {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}};

struct Glyph {
  char32_t character = U' ';
  int color = 0;  // an ANSI code; 0: the terminal's own
};

void append_utf8(char32_t c, std::string& out) {
  const auto byte = [&](std::uint32_t value) { out.push_back(static_cast<char>(value)); };
  const auto code = static_cast<std::uint32_t>(c);
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xC0 | code >> 6);
  } else {
    byte(0xE0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3F));
  }
  byte(0x80 | (code & 0x3F));
}

// Labels hold ASCII, µ and ×; two-byte and three-byte sequences are all there is to read.
std::u32string decoded(const std::string& text) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    std::uint32_t code = more == 0 ? lead : lead & (0x3Fu >> more);
    for (std::size_t k = 0; k < more && i + 1 < text.size(); ++k) {
      code = code << 6 | (static_cast<unsigned char>(text[++i]) & 0x3F);
    }
    result.push_back(static_cast<char32_t>(more > 2 ? U'?' : code));
  }
  return result;
}

int color_of(std::size_t index) {
  return kColors[index % kColors.size()];
}
char32_t letter_of(std::size_t index) {
  return static_cast<char32_t>(U'a' + index % 26);
}

class Canvas {
 public:
  Canvas(std::size_t columns, std::size_t rows)
      : columns_(columns), rows_(rows), glyphs_(columns * rows), dots_(columns * rows) {}

  void put(std::ptrdiff_t column, std::ptrdiff_t row, char32_t character, int color) {
    if (Glyph* const glyph = at(column, row)) *glyph = {character, color};
  }
  void write(std::ptrdiff_t column, std::ptrdiff_t row, const std::u32string& text, int color) {
    for (const char32_t c : text) put(column++, row, c, color);
  }
  // A dot of a Braille cell: two across and four down in each character.
  void dot(std::ptrdiff_t x, std::ptrdiff_t y, int color) {
    Glyph* const glyph = x < 0 || y < 0 ? nullptr : at(x / 2, y / 4);
    if (glyph == nullptr) return;
    std::uint8_t& dots = dots_[static_cast<std::size_t>(glyph - glyphs_.data())];
    dots = static_cast<std::uint8_t>(
        dots | kBraille[static_cast<std::size_t>(x % 2)][static_cast<std::size_t>(y % 4)]);
    *glyph = {static_cast<char32_t>(0x2800 + dots), color};
  }
  void stroke(double x1, double y1, double x2, double y2, int color, bool dashed) {
    const double length = std::max({std::abs(x2 - x1), std::abs(y2 - y1), 1.0});
    for (double step = 0.0; step <= length; step += 1.0) {
      const auto x = static_cast<std::ptrdiff_t>(std::lround(x1 + (x2 - x1) * step / length));
      const auto y = static_cast<std::ptrdiff_t>(std::lround(y1 + (y2 - y1) * step / length));
      if (dashed && x / 3 % 2 == 1) continue;
      dot(x, y, color);
    }
  }
  void append_row(std::size_t row, bool color, std::string& out) const {
    int current = 0;
    std::size_t end = columns_;
    while (end > 0 && glyphs_[row * columns_ + end - 1].character == U' ') --end;
    for (std::size_t column = 0; column < end; ++column) {
      const Glyph& glyph = glyphs_[row * columns_ + column];
      if (color && glyph.color != current) {
        out += "\x1b[" + std::to_string(glyph.color) + "m";
        current = glyph.color;
      }
      append_utf8(glyph.character, out);
    }
    if (color && current != 0) out += "\x1b[0m";
  }
  std::size_t columns() const { return columns_; }
  std::size_t rows() const { return rows_; }

 private:
  Glyph* at(std::ptrdiff_t column, std::ptrdiff_t row) {
    if (column < 0 || row < 0) return nullptr;
    const auto c = static_cast<std::size_t>(column), r = static_cast<std::size_t>(row);
    return c < columns_ && r < rows_ ? &glyphs_[r * columns_ + c] : nullptr;
  }
  std::size_t columns_, rows_;
  std::vector<Glyph> glyphs_;
  std::vector<std::uint8_t> dots_;
};

class Drawing {
 public:
  Drawing(const Figure& figure, const TerminalOptions& options)
      : figure_(figure),
        color_(options.color),
        columns_(std::max(options.columns, kColumnsMin)),
        left_(left_of(figure)),
        canvas_(columns_ - left_ - 2, figure.row_labels.empty()
                                          ? std::max(options.rows, kRowsMin)
                                          : std::max<std::size_t>(figure.row_labels.size(), 1)) {}

  std::string draw() {
    for (const Cell& cell : figure_.cells) draw(cell);
    for (const Rule& rule : figure_.rules) draw(rule);
    for (const Line& line : figure_.lines) draw(line);
    if (!color_ && figure_.lines.size() > 1) {
      for (const Line& line : figure_.lines) letter(line);
    }
    for (const Bar& bar : figure_.bars) draw(bar);
    for (const Rule& rule : figure_.rules) label(rule);
    for (const Mark& mark : figure_.marks) draw(mark);
    return framed();
  }

 private:
  static std::size_t left_of(const Figure& figure) {
    std::size_t left = 8;
    for (const std::string& label : figure.row_labels) {
      left = std::max(left, std::min<std::size_t>(24, decoded(label).size()));
    }
    return left;
  }
  double x_of(double value) const {
    return position(figure_.x, value) * static_cast<double>(canvas_.columns() * 2 - 1);
  }
  double y_of(double value) const {
    return (1.0 - position(figure_.y, value)) * static_cast<double>(canvas_.rows() * 4 - 1);
  }
  std::ptrdiff_t column_of(double value) const {
    return static_cast<std::ptrdiff_t>(std::lround(x_of(value))) / 2;
  }
  std::ptrdiff_t row_of(double value) const {
    return static_cast<std::ptrdiff_t>(std::lround(y_of(value))) / 4;
  }

  void draw(const Cell& cell) {
    const auto shade = static_cast<std::size_t>(std::clamp(std::ceil(cell.heat * 4.0), 1.0, 4.0));
    const auto last = std::max(column_of(cell.x_low), column_of(cell.x_high) - 1);
    const auto bottom = std::max(row_of(cell.y_high), row_of(cell.y_low) - 1);
    for (std::ptrdiff_t column = column_of(cell.x_low); column <= last; ++column) {
      for (std::ptrdiff_t row = row_of(cell.y_high); row <= bottom; ++row) {
        canvas_.put(column, row, kShades[shade].front(), color_of(0));
      }
    }
  }

  void draw(const Line& line) {
    // Over a heat map a line would wipe out what is under it; the shades alone say enough.
    if (!figure_.cells.empty()) return;
    const std::vector<Point>& points = line.points;
    const int color = color_of(line.color);
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      canvas_.stroke(x_of(points[i].x), y_of(points[i].y), x_of(points[i + 1].x),
                     y_of(points[i + 1].y), color, line.dashed);
    }
    if (points.size() == 1) canvas_.put(column_of(points[0].x), row_of(points[0].y), U'•', color);
  }

  // Without colour a line is known by its letter, at every sixth of its length.
  void letter(const Line& line) {
    if (!figure_.cells.empty() || line.points.empty()) return;
    const std::size_t count = std::min<std::size_t>(line.points.size(), 6);
    for (std::size_t i = 1; i <= count; ++i) {
      const Point& point = line.points[i * line.points.size() / count - 1];
      canvas_.put(column_of(point.x), row_of(point.y), letter_of(line.color), 0);
    }
  }

  void draw(const Bar& bar) {
    static constexpr std::u32string_view kEighths = U"▏▎▍▌▋▊▉█";
    const double width = static_cast<double>(canvas_.columns());
    const double start = position(figure_.x, bar.start) * width;
    const double end = std::max(position(figure_.x, bar.end) * width, start + 0.125);
    const auto row = static_cast<std::ptrdiff_t>(bar.row);
    const char32_t fill = color_ ? U'█' : kPatterns[bar.color % kPatterns.size()];
    const auto first = static_cast<std::ptrdiff_t>(start);
    const auto last = static_cast<std::ptrdiff_t>(end);
    for (std::ptrdiff_t column = first; column < last; ++column) {
      canvas_.put(column, row, fill, color_of(bar.color));
    }
    const auto eighth = static_cast<std::size_t>((end - std::floor(end)) * 8.0);
    if (eighth > 0) {
      canvas_.put(last, row, color_ ? kEighths[eighth - 1] : fill, color_of(bar.color));
    }
  }

  void draw(const Rule& rule) {
    if (rule.vertical) {
      for (std::size_t row = 0; row < canvas_.rows(); ++row) {
        canvas_.put(column_of(rule.at), static_cast<std::ptrdiff_t>(row), U'┊', 90);
      }
    } else {
      for (std::size_t column = 0; column < canvas_.columns(); ++column) {
        canvas_.put(static_cast<std::ptrdiff_t>(column), row_of(rule.at), U'┄', 90);
      }
    }
  }
  void label(const Rule& rule) {
    const std::u32string text = decoded(rule.label);
    if (!rule.vertical) {  // at the left, where curves over the load are low
      canvas_.write(1, std::max<std::ptrdiff_t>(row_of(rule.at) - 1, 0), text, 0);
      return;
    }
    const auto width = static_cast<std::ptrdiff_t>(text.size());
    const auto columns = static_cast<std::ptrdiff_t>(canvas_.columns());
    const std::ptrdiff_t at = column_of(rule.at);
    canvas_.write(at + 2 + width < columns ? at + 2 : at - width - 1, 0, text, 0);
  }

  void draw(const Mark& mark) {
    const std::u32string text = decoded(mark.label);
    const auto width = static_cast<std::ptrdiff_t>(text.size());
    const std::ptrdiff_t at = column_of(mark.x), row = row_of(mark.y);
    canvas_.put(at, row, U'●', color_of(mark.color));
    const bool room = at + 2 + width < static_cast<std::ptrdiff_t>(canvas_.columns());
    canvas_.write(room ? at + 2 : at - width - 1, row + 1, text, color_of(mark.color));
  }

  // The first `width` characters.
  static std::string cut(const std::string& text, std::size_t width) {
    std::string out;
    for (const char32_t c : decoded(text).substr(0, width)) append_utf8(c, out);
    return out;
  }

  std::string padded(const std::string& text, std::size_t width) const {
    const std::size_t own = std::min(decoded(text).size(), width);
    return std::string(width - own, ' ') + cut(text, width);
  }

  void append_words(const std::string& text, std::string& out) const {
    std::size_t from = 0;
    while (from < text.size()) {
      std::size_t end = std::min(from + columns_, text.size());
      if (end < text.size()) {
        const std::size_t space = text.rfind(' ', end);
        if (space != std::string::npos && space > from) end = space;
      }
      out += text.substr(from, end - from) + "\n";
      from = text.find_first_not_of(' ', end);
      if (from == std::string::npos) return;
    }
  }

  std::string framed() const {
    std::string out;
    append_words(figure_.title, out);
    append_words(figure_.subtitle, out);
    std::vector<std::string> labels(canvas_.rows());
    if (!figure_.row_labels.empty()) {
      labels = figure_.row_labels;
    } else {
      for (const Tick& tick : ticks(figure_.y, std::max<std::size_t>(canvas_.rows() / 2, 3))) {
        labels[static_cast<std::size_t>(row_of(tick.value))] = tick.text;
      }
    }
    for (std::size_t row = 0; row < canvas_.rows(); ++row) {
      out += padded(labels[row], left_) + (labels[row].empty() ? " │" : " ┤");
      canvas_.append_row(row, color_, out);
      out += "\n";
    }
    append_axis(out);
    append_legend(out);
    append_words(figure_.note, out);
    return out;
  }

  void append_axis(std::string& out) const {
    out += std::string(left_ + 1, ' ') + "└";
    std::string rule, texts(left_ + 2, ' ');
    std::size_t filled = 0;
    Canvas words(canvas_.columns(), 1);
    std::vector<bool> ticked(canvas_.columns(), false);
    for (const Tick& tick : ticks(figure_.x, canvas_.columns() / 11)) {
      const std::ptrdiff_t column = column_of(tick.value);
      const std::u32string text = decoded(tick.text);
      const auto width = static_cast<std::ptrdiff_t>(text.size());
      const auto edge = static_cast<std::ptrdiff_t>(canvas_.columns()) - width;
      const std::ptrdiff_t start =
          std::clamp<std::ptrdiff_t>(column - width / 2, 0, std::max<std::ptrdiff_t>(edge, 0));
      ticked[static_cast<std::size_t>(column)] = true;
      if (start < static_cast<std::ptrdiff_t>(filled)) continue;
      words.write(start, 0, text, 0);
      filled = static_cast<std::size_t>(start + width) + 1;
    }
    for (const bool tick : ticked) rule += tick ? "┴" : "─";
    words.append_row(0, false, texts);
    out += rule + "\n" + texts + "\n";
    const std::string up = figure_.y.label.empty() ? "" : "  (up: " + figure_.y.label + ")";
    out += std::string(left_ + 2, ' ') + cut(figure_.x.label + up, columns_ - left_ - 2) + "\n";
  }

  void append_legend(std::string& out) const {
    if (!figure_.cells.empty()) return;  // lines are not drawn over cells
    std::string line;
    std::size_t width = 0;
    for (const LegendEntry& entry : figure_.legend) {
      const std::string name = cut(entry.name, columns_ - left_ - 4);
      const std::size_t own = decoded(name).size() + 5;
      if (width > 0 && left_ + width + own > columns_ + 1) {
        append_trimmed(line, out);
        line.clear();
        width = 0;
      }
      if (color_) line += "\x1b[" + std::to_string(color_of(entry.color)) + "m";
      const bool stages = !figure_.bars.empty();
      append_utf8(color_   ? U'■'
                  : stages ? kPatterns[entry.color % 6]
                           : letter_of(entry.color),
                  line);
      line.append(color_ ? "\x1b[0m " : " ").append(name).append("   ");
      width += own;
    }
    if (!line.empty()) append_trimmed(line, out);
  }

  void append_trimmed(const std::string& line, std::string& out) const {
    const std::size_t last = line.find_last_not_of(' ');
    out.append(left_ + 2, ' ').append(line, 0, last + 1).append("\n");
  }

  const Figure& figure_;
  const bool color_;
  const std::size_t columns_, left_;
  Canvas canvas_;
};

}  // namespace

std::string to_terminal(const Figure& figure, const TerminalOptions& options) {
  return Drawing(figure, options).draw();
}

}  // namespace vecserve::plot
