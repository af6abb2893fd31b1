// The whole lab, quickly: it leaves a page on which a browser draws every plot, and says by its
// exit code that the bounded service is better than the naive one. Takes less than a minute and a
// half, because the services really run. Main thread; starts build/bin/lab.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "tests/support/skip.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/tools/browser_look.h"
#include "tools/lab/story.h"

using namespace vecserve;

TEST_CASE("lab: the quick run leaves a page with every plot drawn, and bounded is better") {
  const std::string program = std::string(VECSERVE_BIN_DIR) + "/lab";
  const vecserve::test::TemporaryFolder folder;
  const std::string page = folder.at("lab.html");
  const int status = std::system((program + " --quick --html " + page + " >/dev/null").c_str());
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  std::ostringstream text;
  text << std::ifstream(page).rdbuf();
  CHECK(text.str().find("http") == text.str().rfind("http", text.str().find("http")));
  if (!vecserve::test::has_browser()) {
    return vecserve::test::skip_case("chromium is not installed");
  }
  const nlohmann::json seen = vecserve::test::look_at(text.str(), folder.path());
  CHECK(seen.size() >= 13);
  for (const nlohmann::json& figure : seen) {
    INFO(figure.dump());
    CHECK(figure["shapes"].get<std::size_t>() >= 1);
    CHECK(figure["width"].get<double>() > 100.0);
  }
}

TEST_CASE("lab: the essay's measure compares the tail of the answered and the share in time") {
  lab::Story story;
  CHECK_FALSE(story.bounded_is_better());
  story.naive_p99_us = 46e6;
  story.bounded_p99_us = 9e3;
  story.naive_in_time = 0.01;
  story.bounded_in_time = 0.6;
  CHECK(story.bounded_is_better());
  story.bounded_in_time = 0.005;
  CHECK_FALSE(story.bounded_is_better());
}

TEST_CASE("lab: what the samples do not support is a dash in the table") {
  lab::Row row{"one operation", "service time", 500, 100, 410.0, 6'780.0, 0.0};
  row.p50_us = 400.0;
  const plot::Table table = lab::table_of({row});
  REQUIRE(table.rows.size() == 1);
  CHECK(table.rows[0].size() == table.columns.size());
  CHECK(table.rows[0][2] == "410 µs");
  CHECK(table.rows[0][4] == "-");
  CHECK(table.rows[0][5] == "400 µs");
  CHECK(table.rows[0][7] == "-");
}
