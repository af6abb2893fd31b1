// /metrics as a scraper reads it: known names with known values, valid syntax, buckets that add up.
// Comes after stats_test. Test thread only. Always holds: each line is checked, not only those that
// the test looks for.
#include "net/stats_prometheus.h"

#include <catch2/catch.hpp>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include "tests/support/watched_server.h"

namespace vecserve::net {
namespace {

// "name{labels}" to value, and every line that is no comment must be of that form.
std::map<std::string, double> read_metrics(const std::string& text) {
  static const std::regex line_form(
      R"(([a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})?) (\S+))");
  std::map<std::string, double> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with("# HELP ") || line.starts_with("# TYPE ")) continue;
    INFO(line);
    std::smatch match;
    REQUIRE(std::regex_match(line, match, line_form));
    CHECK(values.emplace(match[1], std::stod(match[4])).second);  // no line twice
  }
  return values;
}

TEST_CASE("metrics: what was recorded is told under its name") {
  test::WatchedServer server;
  for (int i = 0; i < 10; ++i) server.reply(Verb::search, 150);
  server.reply(Verb::search, 3, StatusCode::resource_exhausted);
  server.counters.connections = 3;
  const Collection books = *server.database.collection("books");
  const std::vector<float> vector(books.options().dim, 1.0f);
  const SearchReads reads = books.search(std::vector<Query>{Query(vector)})->reads;
  const auto metrics =
      read_metrics(prometheus_text({&server.stats, &server.database, &server.counters}));
  const std::string search = R"({op="search",stage="total")";
  CHECK(metrics.at("vecserve_request_duration_seconds_count" + search + "}") == 10);
  CHECK(metrics.at("vecserve_request_duration_seconds_sum" + search + "}") ==
        Approx(0.0015).epsilon(0.01));
  CHECK(metrics.at("vecserve_request_duration_seconds_bucket" + search + R"(,le="0.0001"})") == 0);
  CHECK(metrics.at("vecserve_request_duration_seconds_bucket" + search + R"(,le="0.0002"})") == 10);
  CHECK(metrics.at("vecserve_request_duration_seconds_bucket" + search + R"(,le="+Inf"})") == 10);
  CHECK(metrics.at(R"(vecserve_requests_total{op="search",outcome="resource_exhausted"})") == 1);
  CHECK(metrics.at("vecserve_batch_size_count") == 10);
  CHECK(metrics.at(R"(vecserve_collection_rows{collection="books"})") == 300);
  CHECK(metrics.at(R"(vecserve_collection_rows{collection="odd-name_1"})") == 7);
  const auto read = [&](const std::string& plane) {
    return metrics.at("vecserve_collection_rows_read_total{collection=\"books\",plane=\"" + plane +
                      "\"}");
  };
  CHECK(reads.full > 0);
  CHECK(read("full") == static_cast<double>(reads.full));
  CHECK(read("coarse") == static_cast<double>(reads.coarse));
  CHECK(read("sketch") == static_cast<double>(reads.sketch));
  CHECK(read("graph") == 0);
  CHECK(metrics.at(R"(vecserve_queue_depth{pool="search",class="interactive"})") == 0);
  CHECK(metrics.at(R"(vecserve_rejected_total{pool="write",reason="queue_time"})") == 0);
  CHECK(metrics.at("vecserve_connections") == 3);
  CHECK(metrics.at("vecserve_degraded") == 0);
  CHECK(metrics.at("process_resident_memory_bytes") > 1e6);
}

TEST_CASE("metrics: a server without connections of its own tells the rest") {
  test::WatchedServer server;
  const auto metrics = read_metrics(prometheus_text({&server.stats, &server.database, nullptr}));
  CHECK(metrics.count("vecserve_connections") == 0);
  CHECK(metrics.at("vecserve_collections") == 2);
}

}  // namespace
}  // namespace vecserve::net
