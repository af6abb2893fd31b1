// Draws a figure with characters: Braille dots for lines, shades for heat maps, eighths of blocks
// for waterfalls. For people at a terminal; loadgen's live view redraws it in place. Pure function.
// Always holds: no line is wider than `columns`, and without colour nothing depends on colour:
// lines carry letters, stages carry patterns.
#pragma once

#include <cstddef>
#include <string>

#include "tools/plot/figure.h"

namespace vecserve::plot {

struct TerminalOptions {
  std::size_t columns = 100;  // at least 40
  std::size_t rows = 20;      // of the plot itself, at least 5; a waterfall takes what it has
  bool color = false;         // ANSI colours, 16 of them, so that the reader's scheme holds
};

[[nodiscard]] std::string to_terminal(const Figure& figure, const TerminalOptions& options = {});

}  // namespace vecserve::plot
