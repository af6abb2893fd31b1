// How verbs become calls: pages of a scan close by size whatever the rows are, and checkpoints are
// named, never pathed. No sockets; a lane is played by the test. Always holds: what a client calls
// a checkpoint stays inside the folder.
#include "net/conversation_work.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>

#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"

namespace vecserve::net {
namespace {

std::unique_ptr<Arrived> arrived(const RequestBody& request) {
  auto arrived = std::make_unique<Arrived>();
  arrived->header.verb = Verb::scan;
  arrived->request = request;
  return arrived;
}

class Rows {
 public:
  explicit Rows(const std::vector<std::size_t>& payload_bytes) {
    DatabaseOptions in_memory;
    in_memory.in_memory = true;
    database_.emplace(std::move(Database::open("", in_memory).value()));
    CollectionOptions shape;
    shape.dim = 1;
    Collection rows = database_->create_collection("rows", shape).value();
    const std::vector<float> vector = {1};
    for (std::size_t i = 0; i < payload_bytes.size(); ++i) {
      const std::string payload = "{\"x\":\"" + std::string(payload_bytes[i], 'x') + "\"}";
      RowInput row;
      row.id = RowId(i);
      row.vector = VectorView(vector);
      row.payload = payload;
      REQUIRE(rows.upsert(row).ok());
    }
    shared = std::make_shared<ServerShared>(ServerOptions(), *database_, serving_, clock_);
  }
  std::shared_ptr<ServerShared> shared;

 private:
  engine::SystemClock clock_;
  std::optional<Database> database_;
  Serving serving_{ServingOptions(), clock_};
};

// The number of rows of each page, and the largest page in bytes.
std::pair<std::vector<std::size_t>, std::size_t> pages_of(Rows& rows, const ScanRequest& request) {
  ScanTask task(*rows.shared, arrived(request));
  std::vector<std::size_t> counts;
  std::size_t largest = 0;
  while (!task.done()) {
    RowsReply page;
    REQUIRE(task.next(page).ok());
    std::size_t bytes = 0;
    for (const auto& row : page.rows) bytes += row->payload.size();
    largest = std::max(largest, bytes);
    counts.push_back(page.rows.size());
    REQUIRE(counts.size() < 1'000);
  }
  return {counts, largest};
}

TEST_CASE("conversation_work: small rows fill pages by count", "[conversation_work]") {
  Rows rows(std::vector<std::size_t>(25, 10));
  ScanRequest request;
  request.collection = "rows";
  request.page_rows = 10;
  CHECK(pages_of(rows, request).first == std::vector<std::size_t>{10, 10, 5});
  request.rows_max = 12;
  CHECK(pages_of(rows, request).first == std::vector<std::size_t>{10, 2});
  request.after = RowId(20);
  CHECK(pages_of(rows, request).first == std::vector<std::size_t>{4});
}

TEST_CASE("conversation_work: large rows close pages by size", "[conversation_work]") {
  Rows rows(std::vector<std::size_t>(8, 900'000));
  ScanRequest request;
  request.collection = "rows";
  request.page_rows = 1'000;
  const auto [counts, largest] = pages_of(rows, request);
  CHECK(counts.size() >= 4);
  CHECK(largest < 2 * limits::scan_page_bytes);
}

TEST_CASE("conversation_work: an empty collection is one empty page", "[conversation_work]") {
  Rows rows({});
  ScanRequest request;
  request.collection = "rows";
  CHECK(pages_of(rows, request).first == std::vector<std::size_t>{0});
  request.collection = "none";
  ScanTask task(*rows.shared, arrived(request));
  RowsReply page;
  CHECK(task.next(page).code() == StatusCode::not_found);
}

TEST_CASE("conversation_work: checkpoints stay inside their folder", "[conversation_work]") {
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.checkpoint_folder = folder.at("checkpoints");
  test::ServedDatabase served(options, folder.at("data"));
  served.fill(5);
  test::WireClient client = served.client();
  const Reply made = client.ask(Verb::checkpoint, CheckpointRequest{"monday"});
  REQUIRE(std::holds_alternative<CheckpointInfo>(made.body));
  CHECK(std::get<CheckpointInfo>(made.body).rows == 5);
  CHECK(std::filesystem::is_directory(options.checkpoint_folder + "/monday"));
  CHECK(test::status_of(client.ask(Verb::restore, RestoreRequest{"monday", "again"})).ok());
  CHECK(std::filesystem::is_directory(options.checkpoint_folder + "/again"));
  for (const char* bad : {"", ".", "..", "../out", "/etc", "a/b", "a b"}) {
    CAPTURE(bad);
    CHECK(test::status_of(client.ask(Verb::checkpoint, CheckpointRequest{bad})).field() == "name");
    CHECK(test::status_of(client.ask(Verb::restore, RestoreRequest{bad, "x"})).field() ==
          "checkpoint");
    CHECK(test::status_of(client.ask(Verb::restore, RestoreRequest{"monday", bad})).field() ==
          "name");
  }
  CHECK_FALSE(std::filesystem::exists(folder.at("out")));
}

TEST_CASE("conversation_work: without a folder there are no checkpoints", "[conversation_work]") {
  test::ServedDatabase served;
  test::WireClient client = served.client();
  CHECK(test::status_of(client.ask(Verb::checkpoint, CheckpointRequest{"a"})).code() ==
        StatusCode::failed_precondition);
}

TEST_CASE("conversation_work: a work's terms are those of its request", "[conversation_work]") {
  Arrived request;
  request.header.priority = Priority::background;
  request.header.deadline_us = 1'000;
  request.body = std::string(500, 'b');
  request.at = TimePoint(std::chrono::seconds(5));
  const WorkTerms terms = terms_of(request, 7, 0);
  CHECK(terms.group == 7);
  CHECK(terms.weight == 1);
  CHECK(terms.priority == Priority::background);
  CHECK(terms.bytes >= 500);
  CHECK(terms.deadline == request.at + std::chrono::milliseconds(1));
  request.header.deadline_us = 0;
  CHECK(terms_of(request, 7, 9).deadline == kNoDeadline);
}

}  // namespace
}  // namespace vecserve::net
