// Looks at a report through a headless Chromium: is every plot really drawn? A script that only
// this test adds measures, in the page, what each figure's data group covers.
// Main thread; leaves with 77 where there is no Chromium. The page is read from a file, and the
// browser is told to resolve no name, so that a report that needs the network shows as broken.
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/skip.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/tools/plot_samples.h"

using namespace vecserve::plot;

namespace {

// Of each figure: its name, how wide and high its data are on the screen, and how many shapes of
// some size are in it.
constexpr const char* kLook = R"js(<script>
window.addEventListener("load", () => {
  const found = [...document.querySelectorAll("svg[data-figure]")].map((svg) => {
    const data = svg.querySelector("g.data");
    const box = data.getBoundingClientRect();
    const shapes = [...data.querySelectorAll("path,rect,circle")].filter((shape) => {
      const own = shape.getBoundingClientRect();
      return own.width + own.height > 1;
    });
    return {name: svg.dataset.figure, width: box.width, height: box.height, shapes: shapes.length};
  });
  const pre = document.createElement("pre");
  pre.textContent = "LOOK" + JSON.stringify(found) + "KOOL";
  document.body.append(pre);
});
</script>)js";

std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), count);
  }
  pclose(pipe);
  return output;
}

// What the browser saw; an empty list when it saw nothing.
nlohmann::json look_at(const std::string& page, const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "page.html";
  std::ofstream(file) << page << kLook;
  const std::string dom =
      output_of("HOME='" + folder.string() +
                "' timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir='" +
                (folder / "profile").string() +
                "' --host-resolver-rules='MAP * ~NOTFOUND' --dump-dom 'file://" + file.string() +
                "' 2>/dev/null");
  const std::size_t open = dom.find(">LOOK"), close = dom.find("KOOL<");
  if (open == std::string::npos || close == std::string::npos) return nlohmann::json::array();
  return nlohmann::json::parse(dom.substr(open + 5, close - open - 5));
}

}  // namespace

TEST_CASE("report: a browser without a network draws every plot of it") {
  if (output_of("command -v chromium").empty()) {
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
  if (output_of("command -v chromium").empty()) {
    return vecserve::test::skip_case("chromium is not installed");
  }
  const vecserve::test::TemporaryFolder folder;
  Report report = sample_report();
  report.sections[0].figures = {spectrum_figure({"none", "nothing", ""}, {})};
  const nlohmann::json seen = look_at(to_html(report), folder.path());
  REQUIRE(seen.size() == 1);
  CHECK(seen[0]["shapes"] == 0);
}
