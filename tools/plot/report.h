// A report: words, tables and figures in one HTML file that needs nothing else, no network and no
// script. On top of svg.h; written by lab and by the tools' --html. Pure function.
// Always holds: whatever text comes in is escaped, and each figure is in the page exactly once as
// an inline <svg data-figure="name">.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/plot/figure.h"

namespace vecserve::plot {

struct Table {
  std::string caption;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // the first column is words, the others are figures
};

struct Section {
  std::string heading;
  std::vector<std::string> paragraphs;
  std::vector<Table> tables;
  std::vector<Figure> figures;
};

struct Report {
  std::string title;
  std::string lead;                                        // one sentence: what came out
  std::vector<std::pair<std::string, std::string>> facts;  // machine, command, seed, date
  std::vector<Section> sections;
};

[[nodiscard]] std::string to_html(const Report& report);

}  // namespace vecserve::plot
