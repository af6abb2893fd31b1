// Looks at a report through a headless Chromium: is every plot really drawn? A script that only
// this test adds measures, in the page, what each figure's data group covers.
// Main thread; leaves with 77 where there is no Chromium. The page is read from a file, and the
// browser is told to resolve no name, so that a report that needs the network shows as broken.
#include <catch2/catch.hpp>

#include "tests/support/skip.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/tools/browser_look.h"
#include "tests/unit/tools/plot_samples.h"

using namespace vecserve::plot;
using vecserve::test::has_browser;
using vecserve::test::look_at;

TEST_CASE("report: a browser without a network draws every plot of it") {
  if (!has_browser()) {
    return vecserve::test::skip_case("chromium is not installed");
  }
  const vecserve::test::TemporaryFolder folder;
  const nlohmann::json seen = look_at(to_html(sample_report()), folder.path());
  const std::vector<Figure> figures = sample_figures();
  REQUIRE(seen.size() == figures.size());
  for (std::size_t i = 0; i < figures.size(); ++i) {
    INFO(seen[i].dump());
    CHECK(seen[i]["name"] == figures[i].name);
    CHECK(seen[i]["width"].get<double>() > 300.0);
    CHECK(seen[i]["height"].get<double>() > 50.0);
    CHECK(seen[i]["shapes"].get<std::size_t>() >= 2);
  }
}

TEST_CASE("report: the look notices a plot that is not drawn") {
  if (!has_browser()) {
    return vecserve::test::skip_case("chromium is not installed");
  }
  const vecserve::test::TemporaryFolder folder;
  Report report = sample_report();
  report.sections[0].figures = {spectrum_figure({"none", "nothing", ""}, {})};
  const nlohmann::json seen = look_at(to_html(report), folder.path());
  REQUIRE(seen.size() == 1);
  CHECK(seen[0]["shapes"] == 0);
}
