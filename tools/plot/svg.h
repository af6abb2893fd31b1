// Draws a figure as SVG, for a file of its own or for a place in a page. After views.h, beside
// terminal.h; report.h is on top. Pure function.
// Always holds: the text is well-formed XML that asks for nothing from outside, every drawn value
// stands in the group of class "data", and the same figure gives the same bytes.
#pragma once

#include <string>

#include "tools/plot/figure.h"

namespace vecserve::plot {

enum class SvgPlace {
  file,  // with style, title and subtitle inside
  page,  // without them: the page has the style and writes the words itself
};

[[nodiscard]] std::string to_svg(const Figure& figure, SvgPlace place);

// Text made safe for XML and HTML, in content and in quoted attributes.
[[nodiscard]] std::string escaped(const std::string& text);

}  // namespace vecserve::plot
