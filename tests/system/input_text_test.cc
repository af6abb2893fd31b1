// Bad payloads, filters, names and options of every kind, on every call that takes them: one named
// case per kind. Each checks the code, the field that is blamed, and that nothing was applied.
// Above everything; test thread only. Always holds: what is at a limit is taken, what is above it
// is refused.
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "tests/support/input_fixture.h"
#include "tests/support/temporary_folder.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;
namespace limits = engine::limits;

}  // namespace

// ---- payload and time to live -------------------------------------------------------------------

TEST_CASE("input: a payload that is not UTF-8 is refused", "[input]") {
  for (const char* bytes : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    Input().payload_refused(std::string("{\"name\":\"") + bytes + "\"}");
  }
}

TEST_CASE("input: a payload that is not one JSON object is refused", "[input]") {
  for (const char* text :
       {"[]", "1", "null", "\"text\"", "{", "{}{}", "{\"a\":1,}", "{a:1}", " ", "{\"a\":NaN}",
        "{\"a\":1e999}", "{\"a\":01}", "{} x", "{\"a\":1,\"a\":2}"}) {
    Input().payload_refused(text);
  }
}

TEST_CASE("input: a payload nested too deep is refused, one at the limit is taken", "[input]") {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  Input().payload_refused(nested(limits::payload_depth_max + 1));
  Input().payload_refused(nested(100'000));
  Input input;
  const std::string deepest = nested(limits::payload_depth_max);
  RowInput row = Input::row(10, Input::kGood);
  row.payload = deepest;
  REQUIRE(input.rows.upsert(row).ok());
  CHECK(input.rows.get(10).value().payload == deepest);
}

TEST_CASE("input: a payload above a megabyte is refused, one at the limit is taken", "[input]") {
  const auto sized = [](std::size_t bytes) {
    return "{\"a\":\"" + std::string(bytes - 8, 'x') + "\"}";
  };
  Input().payload_refused(sized(limits::payload_bytes_max + 1));
  Input input;
  const std::string largest = sized(limits::payload_bytes_max);
  RowInput row = Input::row(10, Input::kGood);
  row.payload = largest;
  REQUIRE(input.rows.upsert(row).ok());
  CHECK(input.rows.get(10).value().payload == largest);
}

TEST_CASE("input: a declared field of another type is refused and named", "[input]") {
  Input().payload_refused(R"({"year": "1990"})", "payload.year");
  Input().payload_refused(R"({"year": true})", "payload.year");
  Input().payload_refused(R"({"year": [1]})", "payload.year");
  Input().payload_refused(R"({"name": 7})", "payload.name");
  Input().payload_refused(R"({"good": 1})", "payload.good");
  Input().payload_refused(R"({"good": {}})", "payload.good");
  Input input;
  RowInput row = Input::row(10, Input::kGood);
  row.payload = R"({"year": null, "good": true})";
  CHECK(input.rows.upsert(row).ok());
}

TEST_CASE("input: a time to live of more than a century is refused", "[input]") {
  for (const std::uint64_t ttl : {limits::ttl_ms_max + 1, UINT64_MAX}) {
    CAPTURE(ttl);
    Input().write_refused("ttl_ms", [&](RowInput& row) { row.ttl_ms = ttl; });
  }
  Input input;
  RowInput row = Input::row(10, Input::kGood);
  row.ttl_ms = limits::ttl_ms_max;
  REQUIRE(input.rows.upsert(row).ok());
  CHECK(input.rows.get(10).value().ttl_ms.value_or(0) > limits::ttl_ms_max / 2);
}

TEST_CASE("input: a batch of more rows than the limit is refused before it is read", "[input]") {
  Input input;
  const std::vector<RowInput> many(limits::batch_rows_max + 1);
  input.refused(input.rows.upsert(many).status(), "rows");
  const std::vector<RowId> ids(limits::batch_rows_max + 1, RowId(10));
  input.refused(input.rows.erase(ids).status(), "ids");
}

// ---- filters ------------------------------------------------------------------------------------

TEST_CASE("input: filters that do not parse are refused on every call", "[input]") {
  for (const char* text : {" ", ".", ".year >", ".year == ", "(.year == 1", ".year = 1", "year > 1",
                           ".year in [1,", "\"open", ".year == 1 garbage", "in [1]", "\xff"}) {
    Input().filter_refused(text);
  }
}

TEST_CASE("input: a filter nested deeper than the limit is refused without recursing", "[input]") {
  for (const std::size_t depth :
       {std::size_t{limits::filter_depth_max} + 1, std::size_t{100'000}}) {
    Input().filter_refused(std::string(depth, '(') + ".year == 1" + std::string(depth, ')'));
    Input().filter_refused(std::string(depth, '!') + ".year");
  }
  Input input;
  const std::string shallow = std::string(30, '(') + ".year == 1" + std::string(30, ')');
  CHECK(input.rows.count(shallow).ok());
}

TEST_CASE("input: a filter of a million terms, or above a megabyte, is refused", "[input]") {
  std::string terms = "1";
  while (terms.size() < limits::filter_bytes_max - 10) terms += "or 1";
  Input().filter_refused(terms);
  Input().filter_refused(".year == " + std::string(limits::filter_bytes_max, '1'));
  std::string list = ".year in [1";
  for (std::uint32_t i = 0; i < limits::filter_nodes_max + 1; ++i) list += ",1";
  Input().filter_refused(list + "]");
}

// ---- names, paths and options -------------------------------------------------------------------

TEST_CASE("input: collection names with path characters, or of wrong length, are refused",
          "[input]") {
  Input input;
  CollectionOptions options;
  options.dim = 4;
  for (const std::string& name :
       {std::string(), std::string("../up"), std::string("a/b"), std::string("."),
        std::string("a b"), std::string("a\0b", 3), std::string("naïve"), std::string(65, 'a'),
        std::string(100'000, 'a'), std::string("a\n")}) {
    CAPTURE(name.substr(0, 70), name.size());
    input.refused(input.database->create_collection(name, options).status(), "name");
    CHECK_FALSE(input.database->collection(name).ok());
    CHECK_FALSE(input.database->drop_collection(name).ok());
    CHECK(input.database->list_collections() == std::vector<std::string>{"rows"});
  }
  CHECK(input.database->create_collection(std::string(64, 'a'), options).ok());
  CHECK(input.database->create_collection("rows", options).status().code() ==
        StatusCode::already_exists);
}

TEST_CASE("input: database options out of range are refused and nothing is made", "[input]") {
  const TemporaryFolder folder;
  const auto refused = [&](const char* field, auto&& spoil) {
    DatabaseOptions options;
    spoil(options);
    const Status status = Database::open(folder.at("db"), options).status();
    CAPTURE(status.to_string());
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == field);
    CHECK_FALSE(std::filesystem::exists(folder.at("db")));
  };
  refused("threads", [](auto& o) { o.threads = 100'000; });
  refused("rewrite_below_live_share", [](auto& o) { o.rewrite_below_live_share = 1.5; });
  refused("rewrite_below_live_share", [](auto& o) { o.rewrite_below_live_share = std::nan(""); });
  refused("write_buffer_bytes", [](auto& o) { o.write_buffer_bytes = 0; });
  refused("kernels", [](auto& o) { o.kernels = "no such table"; });
  refused("durability", [](auto& o) { o.durability = static_cast<Durability>(9); });
}

TEST_CASE("input: write options out of range are refused", "[input]") {
  Input input;
  WriteOptions options;
  options.durability = static_cast<Durability>(9);
  const std::vector<RowInput> batch = {Input::row(10, Input::kGood)};
  input.refused(input.rows.upsert(batch, options).status(), "durability");
  input.refused(input.rows.erase(RowId(1), options).status(), "durability");
}

TEST_CASE("input: a call on an empty handle is a typed error", "[input]") {
  Collection none;
  const auto code = StatusCode::failed_precondition;
  CHECK(none.name().empty());
  CHECK(none.count().status().code() == code);
  CHECK(none.upsert(std::vector<RowInput>()).status().code() == code);
  CHECK(none.erase(RowId(1)).status().code() == code);
  CHECK(none.erase_where(".a == 1").status().code() == code);
  CHECK(none.search(Query(Input::kGood)).status().code() == code);
  CHECK(none.get(RowId(1)).status().code() == code);
  CHECK(none.scan().status().code() == code);
  CHECK(none.stats().status().code() == code);
}

TEST_CASE("input: a deadline that has passed and a cancelled call are told apart", "[input]") {
  Input input;
  SearchOptions options;
  options.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  CHECK(input.rows.search(Query(Input::kGood), options).status().code() ==
        StatusCode::deadline_exceeded);
  options.deadline = kNoDeadline;
  const auto token = std::make_shared<CancelToken>();
  token->cancel();
  options.cancel = token;
  CHECK(input.rows.search(Query(Input::kGood), options).status().code() == StatusCode::cancelled);
}
