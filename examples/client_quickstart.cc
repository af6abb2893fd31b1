// A program that talks to a vecserve server: writes a few rows, asks for the nearest, waits for
// none of several searches in turn but for all together, and shows where the server spent the time.
//   vecserve --data ./data &
//   client_quickstart 127.0.0.1:7411
#include <cstdio>
#include <future>
#include <string>
#include <vector>

#include "vecserve/client.h"

namespace {

int fail(const char* what, const vecserve::Status& status) {
  std::fprintf(stderr, "%s: %s\n", what, status.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  vecserve::ClientOptions options;
  if (argc > 1) options.address = argv[1];
  auto client = vecserve::Client::connect(options);
  if (!client.ok()) return fail("connect", client.status());

  // A collection of vectors with three coordinates. It may be there from an earlier run.
  const auto made = client->create_collection("colours", {.dim = 3});
  if (!made.ok() && made.status().code() != vecserve::StatusCode::already_exists) {
    return fail("create", made.status());
  }

  const std::vector<float> red = {1.0F, 0.0F, 0.0F};
  const std::vector<float> orange = {1.0F, 0.6F, 0.0F};
  const std::vector<float> blue = {0.0F, 0.0F, 1.0F};
  const std::vector<vecserve::RowInput> rows = {
      {"red", red, R"({"warm": true})", {}},
      {"orange", orange, R"({"warm": true})", {}},
      {"blue", blue, R"({"warm": false})", {}},
  };
  const auto written = client->upsert("colours", rows);
  if (!written.ok()) return fail("upsert", written.status());
  std::printf("wrote %llu rows\n", static_cast<unsigned long long>(written->rows));

  const std::vector<float> query = {0.9F, 0.5F, 0.1F};
  const auto found =
      client->search("colours", query, {.k = 2, .filter = ".warm == true", .with_payload = true});
  if (!found.ok()) return fail("search", found.status());
  for (const vecserve::Neighbor& neighbor : found->of(0)) {
    std::printf("%-8s %.3f  %s\n", neighbor.id.to_string().c_str(), neighbor.distance,
                neighbor.payload.c_str());
  }
  const vecserve::ServedStages& served = found.info().server;
  std::printf("in the server: %llu ns, of which waiting %llu, scanning %llu; a batch of %u\n",
              static_cast<unsigned long long>(served.total_ns),
              static_cast<unsigned long long>(served.queue_ns),
              static_cast<unsigned long long>(served.scan_ns), served.batch_size);

  // Several calls on their way at once, over the one connection.
  std::vector<std::future<vecserve::Reply<vecserve::SearchResult>>> replies;
  for (const auto* vector : {&red, &orange, &blue}) {
    auto [done, reply] = vecserve::promised<vecserve::SearchResult>();
    const vecserve::Query each(*vector);
    client->async_search("colours", {&each, 1}, {.k = 1}, {}, done);
    replies.push_back(std::move(reply));
  }
  for (auto& pending : replies) {
    const auto reply = pending.get();
    if (!reply.ok()) return fail("search", reply.status());
    std::printf("nearest: %s\n", reply->of(0)[0].id.to_string().c_str());
  }
  return 0;
}
