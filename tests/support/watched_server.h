// A database in memory with two collections, a serving core, stats and the HTTP face over them, for
// tests of what a server tells of itself. Header only; one per test case.
// Always holds: `reply` counts a request as the server's own hook would.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "net/http_server.h"
#include "net/serving.h"
#include "net/stats.h"
#include "vecserve/database.h"

namespace vecserve::test {

class WatchedServer {
 public:
  WatchedServer() : database(open()), serving({}, clock), stats(serving, clock) {
    fill("books", 300);
    fill("odd-name_1", 7);
  }

  // As if a request had been answered; its parts are tenths of `total_us`.
  void reply(net::Verb verb, std::uint64_t total_us, StatusCode code = StatusCode::ok,
             const std::string& collection = "books") {
    ServedStages served;
    served.total_ns = total_us * 1'000;
    served.queue_ns = total_us * 100;
    served.scan_ns = total_us * 500;
    served.run_ns = total_us * 600;
    served.batch_size = code == StatusCode::ok ? 4 : 0;
    served.certified = true;
    served.backend = "cpu/test";
    net::ReplyRecord record;
    record.verb = verb;
    record.code = code;
    record.collection = collection;
    record.identity = "somebody";
    record.served = &served;
    stats.record(record);
  }

  [[nodiscard]] net::HttpSources sources() { return {&stats, &database, &counters, {}}; }

  engine::ManualClock clock;
  Database database;
  net::Serving serving;
  net::ServerStats stats;
  net::ServerCounters counters;

 private:
  static Database open() {
    DatabaseOptions options;
    options.in_memory = true;
    return Database::open("", options).value();
  }
  void fill(const std::string& name, std::uint64_t count) {
    CollectionOptions options;
    options.dim = 4;
    Collection rows = database.create_collection(name, options).value();
    const std::vector<float> vector = {1.0F, 2.0F, 3.0F, 4.0F};
    std::vector<RowInput> inputs(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      inputs[i].id = i;
      inputs[i].vector = vector;
    }
    REQUIRE(rows.upsert(inputs).ok());
  }
};

}  // namespace vecserve::test
