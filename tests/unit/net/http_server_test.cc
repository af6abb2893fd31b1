// The HTTP face over a real socket: each page, what is refused, and that starting and stopping
// leave nothing behind. Comes after http_json_test. Real threads on a free port of loopback. Always
// holds: no test waits for a time to pass.
#include "net/http_server.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/http_get.h"
#include "tests/support/watched_server.h"

namespace vecserve::net {
namespace {

using test::http_get;
using test::http_send;

HttpOptions any_port() {
  return {"127.0.0.1", 0};
}

TEST_CASE("http: every page answers with its type") {
  test::WatchedServer server;
  server.reply(Verb::search, 100);
  HttpServer http(any_port(), server.sources());
  REQUIRE(http.start().ok());
  CHECK(http.address() == "http://127.0.0.1:" + std::to_string(http.port()) + "/");

  const auto metrics = http_get(http.port(), "/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.head.find("text/plain; version=0.0.4") != std::string::npos);
  CHECK(metrics.body.find("vecserve_collection_rows{collection=\"books\"} 300") !=
        std::string::npos);

  const auto status = http_get(http.port(), "/status");
  CHECK(status.head.find("application/json") != std::string::npos);
  CHECK(nlohmann::json::parse(status.body)["rows"] == 307);
  CHECK(nlohmann::json::parse(http_get(http.port(), "/slow").body).size() == 1);

  const auto page = http_get(http.port(), "/");
  CHECK(page.status == 200);
  CHECK(page.head.find("text/html") != std::string::npos);
  CHECK(page.head.find("default-src 'none'") != std::string::npos);
  CHECK(page.body == console_page());
  CHECK(http_get(http.port(), "/healthz").body == "ok\n");
  CHECK(http_get(http.port(), "/readyz").body == "ready\n");
}

TEST_CASE("http: a server that is not ready says so to whoever routes") {
  test::WatchedServer server;
  HttpSources sources = server.sources();
  sources.not_ready = [] { return std::string("draining"); };
  HttpServer http(any_port(), sources);
  REQUIRE(http.start().ok());
  const auto ready = http_get(http.port(), "/readyz");
  CHECK(ready.status == 503);
  CHECK(ready.body == "not ready: draining\n");
  CHECK(http_get(http.port(), "/healthz").status == 200);
}

TEST_CASE("http: what is unknown, changes something or comes by another name is refused") {
  test::WatchedServer server;
  HttpServer http(any_port(), server.sources());
  REQUIRE(http.start().ok());
  CHECK(http_get(http.port(), "/nothing").status == 404);
  CHECK(http_get(http.port(), "/../../etc/passwd").status == 404);
  CHECK(http_get(http.port(), "/metrics", "evil.example").status == 403);
  CHECK(http_get(http.port(), "/metrics", "127.0.0.1:1").status == 200);
  CHECK(http_get(http.port(), "/metrics", "[::1]:1").status == 200);
  const auto post = http_send(http.port(),
                              "POST /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                              "Content-Length: 0\r\n\r\n");
  CHECK(post.status == 405);
  CHECK(http_send(http.port(), "nonsense\r\nConnection: close\r\n\r\n").status >= 400);
  const auto large =
      http_send(http.port(), "GET /" + std::string(100'000, 'a') +
                                 " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK((large.status == 0 || large.status >= 400));
  CHECK(http_get(http.port(), "/healthz").status == 200);
}

TEST_CASE("http: an address in use is an error, and the first server keeps it") {
  test::WatchedServer server;
  HttpServer first(any_port(), server.sources());
  REQUIRE(first.start().ok());
  HttpServer second({"127.0.0.1", first.port()}, server.sources());
  CHECK(second.start().code() == StatusCode::unavailable);
  HttpServer nowhere({"203.0.113.1", 0}, server.sources());
  CHECK(nowhere.start().code() == StatusCode::unavailable);
  CHECK(http_get(first.port(), "/healthz").status == 200);
}

TEST_CASE("http: starting and stopping at once leaves nothing behind") {
  test::WatchedServer server;
  for (int i = 0; i < 20; ++i) {
    HttpServer http(any_port(), server.sources());
    REQUIRE(http.start().ok());
    if (i % 2 == 0) http.stop();
  }
  HttpServer never(any_port(), server.sources());
  CHECK(never.port() == 0);
}

}  // namespace
}  // namespace vecserve::net
