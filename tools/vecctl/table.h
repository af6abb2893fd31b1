// Text for people: a table with aligned columns, numbers and sizes that can be read, and a progress
// line that is drawn over itself on a terminal. Comes below the commands; the main thread only.
// Always holds: nothing here goes to standard output but what print() writes; progress goes to
// standard error, and only when that is a terminal or when the work is done.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vecserve::vecctl {

class Table {
 public:
  // A heading that begins with '>' is aligned right, without it.
  explicit Table(std::vector<std::string> headings);
  void add(std::vector<std::string> cells);
  [[nodiscard]] std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> lines_;
};

[[nodiscard]] std::string count_text(std::uint64_t count);               // 12,345
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);               // 1.4 MiB
[[nodiscard]] std::string duration_text(std::uint64_t ns);               // 13.2 µs
[[nodiscard]] std::size_t width_of(std::string_view utf8);               // characters, not bytes
[[nodiscard]] std::string cut(std::string text, std::size_t width_max);  // with … when cut

// [#####     ] 48 %  120,000 rows  40,100 rows/s  12 s left
[[nodiscard]] std::string progress_text(double share, std::uint64_t rows,
                                        std::chrono::nanoseconds elapsed);

class Progress {
 public:
  explicit Progress(bool shown);
  // Draws at most ten times a second.
  void update(std::uint64_t rows, std::uint64_t done, std::uint64_t total);
  // The last line, with what came of it.
  void finish(std::uint64_t rows);

 private:
  bool shown_;
  bool terminal_;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace vecserve::vecctl
