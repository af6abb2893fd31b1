// Bad values over the wire, on every verb that takes them: vectors (N10), numbers, batches, ids,
// payloads, and filters that are deep, long or wide (N11). The engine judges most of them; here it
// is shown that nothing gets past it on this way in. Always holds: a typed error that names the
// field, and nothing applied, not even the good rows of the same batch.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/served_database.h"

namespace vecserve::net {
namespace {

const std::vector<float> kGood = {1, 2, 3, 4};

class Input {
 public:
  Input() : client_(make()) {}
  ~Input() { unchanged(); }

  void unchanged() {
    CHECK(served_.database->stats().sequence == sequence_);
    CHECK(served_.database->collection("rows")->count().value() == 10);
  }
  Status ask(Verb verb, const RequestBody& body) {
    const Status status = test::status_of(client_.ask(verb, body));
    unchanged();
    return status;
  }
  void refused(Verb verb, const RequestBody& body, const std::string& field) {
    CAPTURE(std::string(to_string(verb)));
    const Status status = ask(verb, body);
    CAPTURE(status.to_string());
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == field);
  }

  // A good row first, so that a batch that is half applied would show.
  void row_refused(const RowInput& bad, const std::string& field) {
    for (const Verb verb : {Verb::upsert, Verb::insert, Verb::update}) {
      WriteRequest write;
      write.collection = collection;
      RowInput good;
      good.id = verb == Verb::update ? RowId(1) : RowId(500);
      good.vector = VectorView(kGood);
      write.rows = {good, bad};
      if (verb == Verb::update) write.rows[1].id = RowId(2);
      refused(verb, write, field);
    }
  }
  void vector_refused(const std::vector<float>& bad) {
    RowInput row;
    row.id = RowId(501);
    row.vector = VectorView(bad);
    row_refused(row, "vector");
    SearchRequest search;
    search.collection = collection;
    search.queries = {Query(kGood), Query(bad)};
    refused(Verb::search, search, "vector");
    RangeSearchRequest range;
    range.collection = collection;
    range.queries = search.queries;
    range.radius = 1;
    refused(Verb::range_search, range, "vector");
  }

  std::string_view collection = "rows";

 private:
  test::WireClient make() {
    served_.fill(10);
    CollectionOptions shape;
    shape.dim = 4;
    shape.metric = Metric::cosine;
    REQUIRE(served_.database->create_collection("angles", shape).ok());
    sequence_ = served_.database->stats().sequence;
    return served_.client();
  }
  test::ServedDatabase served_;
  std::uint64_t sequence_ = 0;
  test::WireClient client_;
};

TEST_CASE("hostile N10: vectors that are no vectors of this collection", "[hostile]") {
  Input input;
  const float nan = std::nanf("");
  const float inf = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, -nan, inf, -inf}) input.vector_refused({1, bad, 3, 4});
  input.vector_refused({1, 2, 3});
  input.vector_refused({1, 2, 3, 4, 5});
}

TEST_CASE("hostile N10: a zero vector under cosine", "[hostile]") {
  Input input;
  input.collection = "angles";
  SearchRequest search;
  search.collection = "angles";
  const std::vector<float> zero = {0, 0, 0, 0};
  search.queries = {Query(zero)};
  input.refused(Verb::search, search, "vector");
  for (const Verb verb : {Verb::upsert, Verb::insert}) {
    WriteRequest write;
    write.collection = "angles";
    write.rows.resize(2);
    write.rows[0].id = RowId(1);
    write.rows[0].vector = VectorView(kGood);
    write.rows[1].id = RowId(2);
    write.rows[1].vector = VectorView(zero);
    input.refused(verb, write, "vector");
  }
}

TEST_CASE("hostile N10: lengths of vectors that lie", "[hostile]") {
  Input input;
  test::ServedDatabase served;
  served.fill(1);
  test::WireClient client = served.client();
  // The dimension of a well-formed upsert is overwritten in its bytes.
  WriteRequest write;
  write.collection = "rows";
  write.rows.resize(1);
  write.rows[0].id = RowId(7);
  write.rows[0].vector = VectorView(kGood);
  const std::string good = test::frame_bytes({.verb = Verb::upsert, .id = 1}, write);
  const std::string dim("\x00\x04\x00\x00\x00", 5);  // f32 and 4, as they stand in the bytes
  const std::size_t at = good.find(dim);
  REQUIRE(at != std::string::npos);
  for (const std::uint32_t lie :
       {0U, 3U, 5U, 65'536U, 65'537U, 0x40000000U, 0x40000004U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
    CAPTURE(lie);
    std::string body = good.substr(kHeaderBytes);
    std::memcpy(body.data() + at - kHeaderBytes + 1, &lie, sizeof lie);
    std::string bytes;
    FrameHeader header;
    header.verb = Verb::upsert;
    header.request_id = lie;
    append_frame(header, body, bytes);
    client.send(bytes);
    const Status status = test::status_of(client.reply());
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == "vector");
  }
  CHECK(served.database->collection("rows")->count().value() == 1);
}

TEST_CASE("hostile N10: k, limit and radius", "[hostile]") {
  Input input;
  SearchRequest search;
  search.collection = "rows";
  search.queries = {Query(kGood)};
  for (const std::uint32_t k : {0U, 65'537U, UINT32_MAX}) {
    search.k = k;
    input.refused(Verb::search, search, "k");
  }
  search.k = 65'536;  // more than there are is no mistake
  CHECK(input.ask(Verb::search, search).ok());
  RangeSearchRequest range;
  range.collection = "rows";
  range.queries = {Query(kGood)};
  for (const double radius : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    range.radius = radius;
    const Status status = input.ask(Verb::range_search, range);
    if (std::isnan(radius)) CHECK(status.field() == "radius");
  }
  range.radius = 1;
  range.limit = 0;
  input.refused(Verb::range_search, range, "limit");
}

TEST_CASE("hostile N10: batches with an id twice, or none at all", "[hostile]") {
  Input input;
  RowInput row;
  row.id = RowId(500);  // as the good row of the batch
  row.vector = VectorView(kGood);
  WriteRequest write;
  write.collection = "rows";
  write.rows = {row, row};
  for (const Verb verb : {Verb::upsert, Verb::insert, Verb::update}) {
    const Status status = input.ask(verb, write);
    CHECK(status.code() == StatusCode::invalid_argument);
  }
  write.rows.clear();
  CHECK(input.ask(Verb::upsert, write).ok());
  EraseRequest erase;
  erase.collection = "rows";
  CHECK(input.ask(Verb::erase, erase).ok());
  erase.ids = {RowId(0), RowId(UINT64_MAX)};  // the largest and the smallest number are ids
  GetRequest get;
  get.collection = "rows";
  get.ids = erase.ids;
  CHECK(input.ask(Verb::multi_get, get).ok());
}

TEST_CASE("hostile N10: payloads that are no JSON objects in UTF-8", "[hostile]") {
  Input input;
  for (const std::string_view bad :
       {std::string_view("{"), std::string_view("[]"), std::string_view("1"),
        std::string_view("{\"a\":\"\xff\"}"), std::string_view("{\"a\":\"\xc0\xaf\"}"),
        std::string_view("{\"a\":1}{}"), std::string_view("{\"a\":NaN}"),
        std::string_view("\0", 1)}) {
    RowInput row;
    row.id = RowId(501);
    row.vector = VectorView(kGood);
    row.payload = bad;
    input.row_refused(row, "payload");
  }
}

TEST_CASE("hostile N10: dimensions of new collections", "[hostile]") {
  Input input;
  CreateRequest create;
  create.collection = "new";
  for (const std::uint32_t dim : {0U, 65'537U, 0x80000000U, UINT32_MAX}) {
    create.options.dim = dim;
    input.refused(Verb::create_collection, create, "dim");
  }
  create.options.dim = 4;
  for (const std::string_view name : {"", "a/b", "..", "a b", "\xff"}) {
    create.collection = name;
    CHECK(input.ask(Verb::create_collection, create).code() == StatusCode::invalid_argument);
  }
}

TEST_CASE("hostile N11: filters that are deep, long or wide", "[hostile]") {
  Input input;
  std::string wide = ".n == 0";
  while (wide.size() < 1'000'000) wide += " or .n == 1";
  const std::vector<std::string> filters = {
      std::string(100'000, '(') + ".n == 1" + std::string(100'000, ')'),
      std::string(100'000, '('),
      wide,
      std::string(1'000'000, 'x'),
      ".n == ",
      ".n in [" + std::string(500'000, '['),
  };
  for (const std::string& filter : filters) {
    CAPTURE(filter.substr(0, 40), filter.size());
    const std::string_view view = filter;
    input.refused(Verb::count, CountRequest{"rows", view}, "filter");
    input.refused(Verb::erase_where, EraseWhereRequest{"rows", view, {}}, "filter");
    SearchRequest search;
    search.collection = "rows";
    search.queries = {Query(kGood)};
    search.filter = view;
    input.refused(Verb::search, search, "filter");
    ScanRequest scan;
    scan.collection = "rows";
    scan.filter = view;
    input.refused(Verb::scan, scan, "filter");
  }
  input.refused(Verb::erase_where, EraseWhereRequest{"rows", "", {}}, "filter");
}

}  // namespace
}  // namespace vecserve::net
