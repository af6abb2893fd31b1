// The console page in a real browser: it draws what the server tells, without errors and without
// asking anybody else. Comes after http_server_test; skipped where there is no Chromium.
// Test thread, and a browser of its own. Always holds: what is checked is the page after its script
// ran, not its source.
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "net/http_server.h"
#include "tests/support/skip.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/watched_server.h"

namespace vecserve::net {
namespace {

std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4'096> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), count);
  }
  pclose(pipe);
  return output;
}

// The document after its script has run, without that script. No name but loopback resolves.
std::string look_at(const std::string& address, const std::string& folder) {
  std::string page =
      output_of("HOME='" + folder +
                "' timeout 60 chromium --headless --no-sandbox --disable-gpu"
                " --user-data-dir='" +
                folder +
                "/profile' --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'"
                " --virtual-time-budget=3000 --dump-dom '" +
                address + "' 2>/dev/null");
  const std::size_t script = page.find("<script>");
  const std::size_t end = page.find("</script>");
  if (script != std::string::npos && end != std::string::npos) page.erase(script, end - script);
  return page;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("console: a browser shows latencies, queues, collections and the slowest requests") {
  if (output_of("command -v chromium").empty()) {
    return test::skip_case("chromium is not installed");
  }
  const test::TemporaryFolder folder;
  test::WatchedServer server;
  for (int second = 0; second < 5; ++second) {
    for (int i = 0; i < 100; ++i) server.reply(Verb::search, 250);
    server.reply(Verb::search, 4'200);
    server.clock.advance(std::chrono::seconds(1));
    server.stats.tick();
  }
  server.reply(Verb::search, 4'000, StatusCode::ok, "<img src=x onerror=alert(1)>");
  HttpServer http({"127.0.0.1", 0}, server.sources());
  REQUIRE(http.start().ok());
  const std::string page = look_at(http.address(), folder.path());
  INFO(page);
  REQUIRE(holds(page, "<h1>vecserve</h1>"));
  CHECK(holds(page, "id=\"state\" class=\"good\">serving"));
  CHECK(holds(page, ">books<"));
  CHECK(holds(page, ">odd-name_1<"));
  CHECK(holds(page, ">300<"));
  CHECK(holds(page, "4.20 ms"));   // the slowest
  CHECK(holds(page, "cpu/test"));  // and by what
  CHECK(holds(page, "rows surveyed"));
  CHECK(holds(page, "<path d=\"M"));  // lines are drawn
  CHECK(holds(page, "p99.9"));
  CHECK_FALSE(holds(page, "<img"));  // names are text
  CHECK(holds(page, "&lt;img src=x"));
  CHECK_FALSE(holds(page, "no answer from the server"));
  CHECK_FALSE(holds(page, "NaN"));
  CHECK_FALSE(holds(page, "undefined"));
}

TEST_CASE("console: the page refers to nothing outside itself") {
  const std::string page = console_page();
  for (const char* reference : {"src=", "@import", "url(", "href="}) {
    INFO(reference);
    CHECK_FALSE(holds(page, reference));
  }
  // The only address in it names the language of drawings.
  const std::size_t first = page.find("http://");
  CHECK(page.substr(first, 26) == "http://www.w3.org/2000/svg");
  CHECK(page.find("http://", first + 1) == std::string::npos);
  CHECK(page.find("https://") == std::string::npos);
}

}  // namespace
}  // namespace vecserve::net
