// A database in memory behind a running server on a free port of loopback, for tests. Header only;
// test thread. Always holds: at the end the server is stopped before the serving core and the
// database, and the counters must say that nothing is left.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "net/server.h"
#include "net/serving.h"
#include "tests/support/wire_client.h"
#include "vecserve/database.h"

namespace vecserve::test {

class ServedDatabase {
 public:
  explicit ServedDatabase(net::ServerOptions options = {}, const std::string& path = {},
                          net::ServingOptions serving_options = {},
                          net::Device* search_device = nullptr) {
    DatabaseOptions database_options;
    database_options.in_memory = path.empty();
    database_options.threads = 1;
    database.emplace(std::move(Database::open(path, database_options).value()));
    if (options.listen == net::ServerOptions().listen) options.listen = {"127.0.0.1:0"};
    if (search_device != nullptr) {
      serving.emplace(serving_options, clock, *search_device);
    } else {
      serving.emplace(serving_options, clock);
    }
    REQUIRE(serving->start().ok());
    server.emplace(std::move(options), *database, *serving, clock);
    const Status status = server->start();
    INFO(status.to_string());
    REQUIRE(status.ok());
    address = server->addresses().front();
  }
  ~ServedDatabase() {
    server->stop();
    CHECK(server->counters().connections.load() == 0);
    CHECK(server->counters().connections_strange.load() == 0);
    CHECK(server->counters().scans.load() == 0);
  }
  ServedDatabase(const ServedDatabase&) = delete;
  ServedDatabase& operator=(const ServedDatabase&) = delete;

  // The collection "rows" of four dimensions with `count` rows, ids from 0, payload {"n": id}.
  Collection fill(std::uint64_t count) {
    CollectionOptions shape;
    shape.dim = 4;
    Collection rows = database->create_collection("rows", shape).value();
    std::vector<std::vector<float>> vectors;
    std::vector<std::string> payloads;
    for (std::uint64_t i = 0; i < count; ++i) {
      vectors.push_back({static_cast<float>(i), 1.0f, 0.0f, 0.0f});
      payloads.push_back("{\"n\":" + std::to_string(i) + "}");
    }
    std::vector<RowInput> inputs(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      inputs[i].id = RowId(i);
      inputs[i].vector = VectorView(vectors[i]);
      inputs[i].payload = payloads[i];
    }
    REQUIRE(rows.upsert(inputs).ok());
    return rows;
  }

  // A connection that has said hello.
  WireClient client(std::string_view token = {}) {
    WireClient client(address);
    REQUIRE(client.connected());
    const net::Reply reply = client.hello(token);
    REQUIRE(std::holds_alternative<net::HelloReply>(reply.body));
    return client;
  }

  engine::SystemClock clock;
  std::optional<Database> database;
  std::optional<net::Serving> serving;
  std::optional<net::Server> server;
  std::string address;
};

}  // namespace vecserve::test
