// Every view in every rendering against a file that a person has looked at. After a change that is
// meant, VECSERVE_GOLDEN=write makes the test write what it drew; look at it before committing.
// Main thread; reads tests/unit/tools/golden.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/tools/plot_samples.h"
#include "tools/plot/svg.h"
#include "tools/plot/terminal.h"

using namespace vecserve::plot;

namespace {

std::string golden_path(const std::string& name) {
  return std::string(VECSERVE_SOURCE_DIR) + "/tests/unit/tools/golden/" + name;
}

void check_golden(const std::string& name, const std::string& drawn) {
  INFO(name);
  const char* const mode = std::getenv("VECSERVE_GOLDEN");
  if (mode != nullptr && std::string(mode) == "write") {
    std::ofstream(golden_path(name)) << drawn;
  }
  std::ostringstream golden;
  golden << std::ifstream(golden_path(name)).rdbuf();
  CHECK(golden.str() == drawn);
}

std::size_t columns_of(const std::string& line) {
  std::size_t count = 0;
  for (const char c : line) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("plot: every view in the terminal is as its golden file") {
  for (const Figure& figure : sample_figures()) {
    check_golden(figure.name + ".txt", to_terminal(figure, {80, 14, false}));
  }
  check_golden("curve_color.txt", to_terminal(sample_curve(), {80, 14, true}));
}

TEST_CASE("plot: every view as SVG is as its golden file") {
  for (const Figure& figure : sample_figures()) {
    check_golden(figure.name + ".svg", to_svg(figure, SvgPlace::file));
  }
}

TEST_CASE(
    "plot: no line of a terminal drawing is wider than asked, even when asked for too little") {
  for (const Figure& figure : sample_figures()) {
    for (const std::size_t columns : {40u, 80u, 133u}) {
      std::istringstream lines(to_terminal(figure, {columns, 9, false}));
      std::string line;
      while (std::getline(lines, line)) CHECK(columns_of(line) <= columns);
    }
    CHECK_FALSE(to_terminal(figure, {0, 0, false}).empty());
  }
}

TEST_CASE("plot: a report asks for nothing from outside and escapes what it is given") {
  const std::string page = to_html(sample_report());
  CHECK(page.find("A report &amp; its figures") != std::string::npos);
  CHECK(page.find("&lt;nothing&gt;") != std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
  CHECK(page.find("src=") == std::string::npos);
  // The one address is the name of SVG itself.
  std::size_t addresses = 0;
  for (std::size_t at = page.find("http"); at != std::string::npos;
       at = page.find("http", at + 1)) {
    CHECK(page.substr(at, 26) == "http://www.w3.org/2000/svg");
    ++addresses;
  }
  CHECK(addresses == sample_figures().size());
}

TEST_CASE("plot: hostile labels cannot leave their place") {
  CHECK(escaped("<a href=\"x\">&\n\x01") == "&lt;a href=&quot;x&quot;&gt;&amp;  ");
}
