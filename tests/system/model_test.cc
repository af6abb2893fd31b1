// Random operations of every public call against a std::map, with time to live on a manual clock,
// reopened at random, for both stores and every metric and storage type. Above everything; test
// thread only. Always holds: after every operation that reads, engine and model agree to the last
// bit.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/database_testing.h"
#include "tests/support/dice.h"
#include "tests/support/model.h"
#include "tests/support/temporary_folder.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;

constexpr const char* kName = "model";
constexpr int kSteps = 400;

struct Setup {
  const char* name;
  Metric metric;
  ScalarType type;
  std::uint32_t dim;
  bool in_memory;
};

class ModelRun {
 public:
  ModelRun(const Setup& setup, std::uint64_t seed)
      : setup_(setup), dice_(seed), model_(options_of(setup)) {
    open();
    REQUIRE(database_->create_collection(kName, model_.options()).ok());
    collection_ = database_->collection(kName).value();
  }

  void step() {
    switch (dice_.below(16)) {
      case 0:
      case 1:
      case 2:
        upsert();
        break;
      case 3:
        insert();
        break;
      case 4:
      case 5:
        update();
        break;
      case 6:
        erase();
        break;
      case 7:
        erase_where();
        break;
      case 8:
        read_rows();
        break;
      case 9:
      case 10:
        search();
        break;
      case 11:
        range_search();
        break;
      case 12:
        scan();
        break;
      case 13:
        count();
        break;
      case 14:
        pass_time();
        break;
      default:
        maintain();
        break;
    }
  }

  // Everything at once, for the end of a run.
  void compare_all() {
    const ModelFilter all{"", [](const ModelRow&) { return true; }};
    scan_with(all, std::nullopt, 7);
  }

 private:
  static CollectionOptions options_of(const Setup& setup) {
    CollectionOptions options;
    options.dim = setup.dim;
    options.metric = setup.metric;
    options.type = setup.type;
    options.fields = {{"a", FieldType::number}, {"s", FieldType::string}};
    return options;
  }

  void open() {
    DatabaseOptions options;
    options.in_memory = setup_.in_memory;
    options.threads = 2;
    options.expire_every_ms = 0;
    engine::TestHooks hooks;
    hooks.clock = &clock_;
    Result<Database> opened = engine::open_for_testing(folder_.at("db"), options, hooks);
    INFO(opened.status().to_string());
    REQUIRE(opened.ok());
    database_.emplace(std::move(*opened));
  }

  std::uint64_t now() const { return clock_.unix_ms(); }

  // Distinct ids with fresh rows, and the inputs that say the same.
  struct Drawn {
    std::vector<RowId> ids;
    std::vector<ModelRow> rows;
    std::vector<TypedVector> vectors;
    std::vector<RowInput> inputs;
  };

  Drawn draw_batch(std::uint64_t rows_max) {
    Drawn drawn;
    const std::uint64_t wanted = dice_.between(0, rows_max);
    std::map<RowId, ModelRow> unique;
    for (std::uint64_t i = 0; i < wanted; ++i) {
      unique.emplace(draw_id(dice_), draw_row(model_.options(), dice_));
    }
    for (auto& [id, row] : unique) {
      drawn.ids.push_back(id);
      drawn.vectors.emplace_back(setup_.type, row.vector);
      drawn.rows.push_back(std::move(row));
    }
    for (std::size_t i = 0; i < drawn.ids.size(); ++i) {
      RowInput input;
      input.id = drawn.ids[i];
      input.vector = drawn.vectors[i].view();
      input.payload = drawn.rows[i].payload;
      if (dice_.percent(30)) {
        input.ttl_ms = dice_.below(4) * 50;  // 0 stands for "for ever"
        if (*input.ttl_ms != 0) drawn.rows[i].expires_at_ms = now() + *input.ttl_ms;
      }
      drawn.inputs.push_back(std::move(input));
    }
    return drawn;
  }

  void adopt(const Drawn& drawn) {
    for (std::size_t i = 0; i < drawn.ids.size(); ++i) model_.rows[drawn.ids[i]] = drawn.rows[i];
  }

  void upsert() {
    const Drawn drawn = draw_batch(8);
    const Result<WriteResult> result = collection_.upsert(drawn.inputs);
    INFO(result.status().to_string());
    REQUIRE(result.ok());
    REQUIRE(result->rows == drawn.ids.size());
    adopt(drawn);
  }

  void insert() {
    const Drawn drawn = draw_batch(3);
    bool any_exists = false;
    for (const RowId& id : drawn.ids) any_exists |= model_.find(id, now()) != nullptr;
    const Result<WriteResult> result = collection_.insert(drawn.inputs);
    CAPTURE(result.status().to_string(), any_exists);
    REQUIRE(result.status().code() == (any_exists ? StatusCode::already_exists : StatusCode::ok));
    if (!any_exists) adopt(drawn);
  }

  // Leaves out vector, payload or time to live at random: these keep their values.
  void update() {
    Drawn drawn = draw_batch(2);
    bool all_exist = true;
    for (std::size_t i = 0; i < drawn.ids.size(); ++i) {
      const ModelRow* const old = model_.find(drawn.ids[i], now());
      all_exist &= old != nullptr;
      if (old == nullptr) continue;
      if (dice_.percent(50)) {
        drawn.inputs[i].vector = VectorView();
        drawn.rows[i].vector = old->vector;
      }
      if (dice_.percent(50)) {
        drawn.inputs[i].payload.reset();
        drawn.rows[i].payload = old->payload;
        drawn.rows[i].a = old->a;
        drawn.rows[i].s = old->s;
      }
      if (!drawn.inputs[i].ttl_ms) drawn.rows[i].expires_at_ms = old->expires_at_ms;
    }
    const Result<WriteResult> result = collection_.update(drawn.inputs);
    CAPTURE(result.status().to_string(), all_exist);
    REQUIRE(result.status().code() == (all_exist ? StatusCode::ok : StatusCode::not_found));
    if (all_exist) adopt(drawn);
  }

  void erase() {
    std::vector<RowId> ids;
    std::uint64_t expected = 0;
    for (std::uint64_t i = dice_.below(5); i > 0; --i) {
      const RowId id = draw_id(dice_);
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
      if (model_.find(id, now()) != nullptr) ++expected;
      ids.push_back(id);
    }
    const Result<WriteResult> result = collection_.erase(ids);
    REQUIRE(result.ok());
    REQUIRE(result->rows == expected);
    for (const RowId& id : ids) model_.rows.erase(id);
  }

  void erase_where() {
    if (dice_.percent(70)) return;  // it empties the collection quickly
    const ModelFilter filter = draw_filter(dice_);
    CAPTURE(filter.text);
    const Result<WriteResult> result = collection_.erase_where(filter.text);
    if (filter.text.empty()) {
      REQUIRE(result.status().code() == StatusCode::invalid_argument);
      REQUIRE(result.status().field() == "filter");
      return;
    }
    REQUIRE(result.ok());
    const auto matching = model_.live(filter, now());
    REQUIRE(result->rows == matching.size());
    std::vector<RowId> ids;
    for (const auto& [id, row] : matching) ids.push_back(id);
    for (const RowId& id : ids) model_.rows.erase(id);
  }

  void read_rows() {
    std::vector<RowId> ids;
    for (std::uint64_t i = dice_.below(6); i > 0; --i) ids.push_back(draw_id(dice_));
    const auto found = collection_.multi_get(ids);
    REQUIRE(found.ok());
    REQUIRE(found->size() == ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      CAPTURE(ids[i].to_string());
      const ModelRow* const expected = model_.find(ids[i], now());
      REQUIRE((*found)[i].has_value() == (expected != nullptr));
      REQUIRE(collection_.exists(ids[i]).value() == (expected != nullptr));
      const Result<Row> one = collection_.get(ids[i]);
      REQUIRE(one.status().code() == (expected ? StatusCode::ok : StatusCode::not_found));
      if (expected == nullptr) continue;
      REQUIRE(one->id == ids[i]);
      CHECK(model_.compare_row(*one, *expected, now()) == "");
      CHECK(model_.compare_row(*(*found)[i], *expected, now()) == "");
    }
  }

  void search() {
    const ModelFilter filter = draw_filter(dice_);
    const auto k = static_cast<std::uint32_t>(dice_.between(1, 20));
    CAPTURE(filter.text, k);
    std::vector<TypedVector> vectors;
    for (std::uint64_t i = dice_.between(1, 5); i > 0; --i) {
      vectors.emplace_back(setup_.type, draw_vector(model_.options(), dice_));
    }
    std::vector<Query> queries;
    for (const TypedVector& vector : vectors) queries.emplace_back(vector.view());
    queries.back().k = 3;
    queries.back().filter = "";
    SearchOptions options;
    options.k = k;
    options.filter = filter.text;
    options.with_payload = options.with_vector = dice_.percent(30);
    SearchResult found;
    const Status status = collection_.search(queries, options, found);
    INFO(status.to_string());
    REQUIRE(status.ok());
    REQUIRE(found.query_count() == queries.size());
    const ModelFilter all{"", [](const ModelRow&) { return true; }};
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const bool last = i + 1 == queries.size();
      const auto expected =
          model_.nearest(vectors[i].floats(), last ? 3 : k, last ? all : filter, now());
      CHECK(model_.compare(found.of(i), expected, vectors[i].floats()) == "");
      CHECK(found.certified[i] == 1);
      if (!options.with_payload) continue;
      for (const Neighbor& neighbor : found.of(i)) {
        const ModelRow& row = model_.rows.at(neighbor.id);
        CHECK(neighbor.payload == row.payload);
        CHECK(neighbor.vector.to_floats() == row.vector);
      }
    }
  }

  void range_search() {
    const ModelFilter filter = draw_filter(dice_);
    const TypedVector vector(setup_.type, draw_vector(model_.options(), dice_));
    RangeSearchOptions options;
    options.filter = filter.text;
    const ModelFilter all{"", [](const ModelRow&) { return true; }};
    const auto nearest = model_.nearest(vector.floats(), 12, all, now());
    // The distance of an existing row: whether "at most" includes it shows at once.
    options.radius = nearest.empty() ? 1.0 : nearest[dice_.below(nearest.size())].distance;
    if (setup_.metric == Metric::cosine) options.radius += 1e-6;
    options.limit = static_cast<std::uint32_t>(dice_.percent(20) ? 2 : 1000);
    CAPTURE(filter.text, options.radius, options.limit);
    auto expected = model_.within(vector.floats(), options.radius, filter, now());
    const bool cut = expected.size() > options.limit;
    if (cut) expected.resize(options.limit);
    const std::vector<Query> queries = {Query(vector.view())};
    const Result<SearchResult> found = collection_.range_search(queries, options);
    INFO(found.status().to_string());
    REQUIRE(found.ok());
    CHECK(model_.compare(found->of(0), expected, vector.floats()) == "");
    CHECK((found->truncated[0] == 1) == cut);
  }

  void scan() {
    std::optional<RowId> after;
    if (dice_.percent(50)) after = draw_id(dice_);
    scan_with(draw_filter(dice_), after, static_cast<std::uint32_t>(dice_.between(1, 40)));
  }

  void scan_with(const ModelFilter& filter, const std::optional<RowId>& after,
                 std::uint32_t page_rows) {
    CAPTURE(filter.text, page_rows, after ? after->to_string() : "the beginning");
    ScanOptions options;
    options.filter = filter.text;
    options.after = after;
    Result<Cursor> cursor = collection_.scan(options);
    REQUIRE(cursor.ok());
    std::vector<Row> found;
    while (!cursor->done()) {
      Result<std::vector<Row>> page = cursor->next(page_rows);
      REQUIRE(page.ok());
      REQUIRE(page->size() <= page_rows);
      REQUIRE((page->size() == page_rows || cursor->done()));
      for (Row& row : *page) found.push_back(std::move(row));
      if (!page->empty()) REQUIRE(cursor->position() == found.back().id);
    }
    REQUIRE(cursor->next(1).value().empty());
    auto expected = model_.live(filter, now());
    if (after) std::erase_if(expected, [&](const auto& row) { return row.first <= *after; });
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      REQUIRE(found[i].id == expected[i].first);
      CHECK(model_.compare_row(found[i], *expected[i].second, now()) == "");
    }
  }

  void count() {
    const ModelFilter filter = draw_filter(dice_);
    CAPTURE(filter.text);
    CHECK(collection_.count(filter.text).value() == model_.live(filter, now()).size());
  }

  void pass_time() { clock_.advance(std::chrono::milliseconds(dice_.below(120))); }

  void maintain() {
    const Result<VerifyReport> verified = database_->verify();
    INFO(verified.status().to_string());
    REQUIRE(verified.ok());
    if (setup_.in_memory || dice_.percent(60)) return;
    const std::uint64_t sequence = database_->stats().sequence;
    REQUIRE(database_->close().ok());
    REQUIRE(collection_.count().status().code() == StatusCode::unavailable);
    open();
    REQUIRE(database_->stats().sequence == sequence);
    REQUIRE(database_->list_collections() == std::vector<std::string>{kName});
    collection_ = database_->collection(kName).value();
    REQUIRE(collection_.options() == model_.options());
  }

  const Setup setup_;
  Dice dice_;
  Model model_;
  TemporaryFolder folder_;
  engine::ManualClock clock_;
  std::optional<Database> database_;
  Collection collection_;
};

}  // namespace

TEST_CASE("model: every call answers as a map would, for every metric, type and store", "[model]") {
  const Setup setup =
      GENERATE(Setup{"l2 f32", Metric::l2, ScalarType::f32, 7, false},
               Setup{"l2 f32 in memory", Metric::l2, ScalarType::f32, 7, true},
               Setup{"dot f16", Metric::dot, ScalarType::f16, 5, false},
               Setup{"cosine f32", Metric::cosine, ScalarType::f32, 6, false},
               Setup{"cosine bf16 in memory", Metric::cosine, ScalarType::bf16, 17, true},
               Setup{"l1 i8", Metric::l1, ScalarType::i8, 3, false},
               Setup{"l2 u8 in memory", Metric::l2, ScalarType::u8, 9, true},
               Setup{"dot f32 of one coordinate", Metric::dot, ScalarType::f32, 1, true},
               Setup{"hamming", Metric::hamming, ScalarType::bit, 19, false},
               Setup{"hamming in memory", Metric::hamming, ScalarType::bit, 64, true});
  for (const std::uint64_t seed : {11u, 12u}) {
    CAPTURE(setup.name, seed);
    ModelRun run(setup, seed);
    for (int step = 0; step < kSteps; ++step) {
      CAPTURE(step);
      run.step();
    }
    run.compare_all();
  }
}
