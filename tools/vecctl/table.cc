// See table.h.
// Widths count characters of UTF-8, since payloads are text of any language. The main thread only.
// Always holds: every line of a table has as many cells as it has headings.
#include "tools/vecctl/table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace vecserve::vecctl {
namespace {

constexpr std::size_t kCellWidthMax = 72;  // a payload that is cut still leaves room beside it
constexpr auto kDrawEvery = std::chrono::milliseconds(100);

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

}  // namespace

std::size_t width_of(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), starts_character));
}

std::string cut(std::string text, std::size_t width_max) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  if (width_of(text) <= width_max) return text;
  std::size_t characters = 0;
  std::size_t at = 0;
  while (at < text.size() && (characters < width_max || !starts_character(text[at]))) {
    if (starts_character(text[at]) && ++characters == width_max) break;
    ++at;
  }
  return text.substr(0, at).append("…");
}

std::string count_text(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit < 4) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration_text(std::uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1'000) return fmt::format("{} ns", ns);
  if (ns < 1'000'000) return fmt::format("{:.1f} µs", value / 1e3);
  if (ns < 1'000'000'000) return fmt::format("{:.1f} ms", value / 1e6);
  return fmt::format("{:.1f} s", value / 1e9);
}

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
  lines_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(right_.size());
  for (std::string& cell : cells) cell = cut(std::move(cell), kCellWidthMax);
  lines_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(right_.size(), 0);
  for (const auto& line : lines_) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(line[i]));
    }
  }
  std::string text;
  for (const auto& line : lines_) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string gap(widths[i] - width_of(line[i]), ' ');
      if (i > 0) row += "  ";
      row.append(right_[i] ? gap : line[i]);
      row.append(right_[i] ? line[i] : gap);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

std::string progress_text(double share, std::uint64_t rows, std::chrono::nanoseconds elapsed) {
  constexpr int kBarWidth = 30;
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-9);
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(rows) / seconds);
  if (share <= 0.0) {
    return fmt::format("{} rows  {} rows/s", count_text(rows), count_text(rate));
  }
  share = std::min(share, 1.0);
  const auto filled = static_cast<std::size_t>(share * kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, ' ');
  const auto left = static_cast<std::uint64_t>(seconds * (1.0 - share) / share);
  return fmt::format("[{}] {:3.0f} %  {} rows  {} rows/s  {} s left", bar, share * 100.0,
                     count_text(rows), count_text(rate), count_text(left));
}

Progress::Progress(bool shown)
    : shown_(shown),
      terminal_(::isatty(STDERR_FILENO) == 1),
      begin_(std::chrono::steady_clock::now()),
      drawn_(begin_ - kDrawEvery) {}

void Progress::update(std::uint64_t rows, std::uint64_t done, std::uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || !terminal_ || now - drawn_ < kDrawEvery) return;
  drawn_ = now;
  const double share = total == 0 ? 0.0 : static_cast<double>(done) / static_cast<double>(total);
  std::fputs(fmt::format("\r\x1b[K{}", progress_text(share, rows, now - begin_)).c_str(), stderr);
}

void Progress::finish(std::uint64_t rows) {
  if (!shown_) return;
  const auto elapsed = std::chrono::steady_clock::now() - begin_;
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-9);
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(rows) / seconds);
  std::fputs(fmt::format("{}{} rows in {:.2f} s, {} rows/s\n", terminal_ ? "\r\x1b[K" : "",
                         count_text(rows), seconds, count_text(rate))
                 .c_str(),
             stderr);
}

}  // namespace vecserve::vecctl
