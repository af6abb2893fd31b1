// /status and /slow as a program reads them: valid JSON whatever names and texts hold, and the
// figures that the console shows. Comes after stats_test.
// Test thread only. Always holds: the texts are parsed by a real parser.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "net/http_server.h"
#include "tests/support/watched_server.h"

namespace vecserve::net {
namespace {

TEST_CASE("status: collections, queues, batches and history are told") {
  test::WatchedServer server;
  for (int i = 0; i < 8; ++i) server.reply(Verb::search, 100);
  server.clock.advance(std::chrono::seconds(1));
  server.stats.tick();
  const auto status = nlohmann::json::parse(status_json(server.sources()));
  CHECK(status["rows"] == 307);
  REQUIRE(status["collections"].size() == 2);
  CHECK(status["collections"][0]["name"] == "books");
  CHECK(status["collections"][0]["rows"] == 300);
  CHECK(status["collections"][0]["metric"] == "l2");
  for (const char* told : {"rows_surveyed", "rows_sketched", "sketch_bytes", "coarse_bytes"}) {
    CHECK(status["collections"][0][told].is_number());
  }
  REQUIRE(status["history"].size() == 1);
  CHECK(status["history"][0]["searches"] == 8);
  CHECK(status["history"][0]["p99_us"].get<double>() == Approx(100.0).epsilon(0.01));
  CHECK(status["batch_sizes"][2]["up_to"] == 4);
  CHECK(status["batch_sizes"][2]["searches"] == 8);
  CHECK(status["search"]["running"] == 0);
  CHECK(status["not_ready"] == "");
}

TEST_CASE("status: it says why the server is not ready") {
  test::WatchedServer server;
  HttpSources sources = server.sources();
  sources.not_ready = [] { return std::string("draining"); };
  CHECK(nlohmann::json::parse(status_json(sources))["not_ready"] == "draining");
}

TEST_CASE("slow: whatever a name holds, the text is JSON") {
  test::WatchedServer server;
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  server.reply(Verb::search, 77, StatusCode::ok, every_byte);
  const auto slow = nlohmann::json::parse(slow_json(server.stats));
  REQUIRE(slow.size() == 1);
  CHECK(slow[0]["verb"] == "search");
  CHECK(slow[0]["total_us"].get<double>() == 77.0);
  CHECK(slow[0]["scan_us"].get<double>() == 38.5);
  CHECK(slow[0]["batch_size"] == 4);
  CHECK(slow[0]["identity"] == "somebody");
  CHECK(slow[0]["collection"].get<std::string>().size() > 256);  // two bytes each from 128 on
}

TEST_CASE("slow: nothing yet is an empty list") {
  test::WatchedServer server;
  CHECK(slow_json(server.stats) == "[]");
}

}  // namespace
}  // namespace vecserve::net
