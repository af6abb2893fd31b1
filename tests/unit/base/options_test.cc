// Checks vecserve/options.h: the defaults are valid, every bound is where options.h says, and an
// error names the field. Single-threaded.
// Always holds: each bound is tried on both of its sides.
#include "vecserve/options.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>

namespace {

using namespace vecserve;

// The field that validate() complains about, "" when it does not.
template <typename Options>
std::string wrong_field(const Options& options) {
  const Status status = options.validate();
  if (!status.ok()) {
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK_FALSE(status.message().empty());
    CHECK_FALSE(status.field().empty());
  }
  return status.field();
}

template <typename Options, typename Change>
std::string wrong_with(Options options, Change&& change) {
  change(options);
  return wrong_field(options);
}

CollectionOptions valid_collection() {
  CollectionOptions options;
  options.dim = 4;
  return options;
}

TEST_CASE("options: defaults are valid, except that a collection needs a dimension", "[base]") {
  CHECK(wrong_field(DatabaseOptions()).empty());
  CHECK(wrong_field(WriteOptions()).empty());
  CHECK(wrong_field(SearchOptions()).empty());
  CHECK(wrong_field(RangeSearchOptions()).empty());
  CHECK(wrong_field(ScanOptions()).empty());
  CHECK(wrong_field(CollectionOptions()) == "dim");
  CHECK(wrong_field(valid_collection()).empty());
}

TEST_CASE("options: bounds of a database", "[base]") {
  using D = DatabaseOptions;
  CHECK(wrong_with(D(), [](D& o) { o.threads = 256; }).empty());
  CHECK(wrong_with(D(), [](D& o) { o.threads = 257; }) == "threads");
  const std::string share = "rewrite_below_live_share";
  CHECK(wrong_with(D(), [](D& o) { o.rewrite_below_live_share = 0.0; }).empty());
  CHECK(wrong_with(D(), [](D& o) { o.rewrite_below_live_share = 0.95; }).empty());
  CHECK(wrong_with(D(), [](D& o) { o.rewrite_below_live_share = 0.96; }) == share);
  CHECK(wrong_with(D(), [](D& o) { o.rewrite_below_live_share = -0.01; }) == share);
  CHECK(wrong_with(D(), [](D& o) { o.rewrite_below_live_share = std::nan(""); }) == share);
  const std::string buffer = "write_buffer_bytes";
  CHECK(wrong_with(D(), [](D& o) { o.write_buffer_bytes = std::size_t{1} << 20; }).empty());
  CHECK(wrong_with(D(), [](D& o) { o.write_buffer_bytes = (std::size_t{1} << 20) - 1; }) == buffer);
  CHECK(wrong_with(D(), [](D& o) { o.write_buffer_bytes = std::size_t{1} << 34; }).empty());
  CHECK(wrong_with(D(), [](D& o) { o.write_buffer_bytes = (std::size_t{1} << 34) + 1; }) == buffer);
  CHECK(wrong_with(D(), [](D& o) { o.durability = static_cast<Durability>(2); }) == "durability");
}

TEST_CASE("options: bounds of a collection", "[base]") {
  using C = CollectionOptions;
  CHECK(wrong_with(valid_collection(), [](C& o) { o.dim = 65'536; }).empty());
  CHECK(wrong_with(valid_collection(), [](C& o) { o.dim = 65'537; }) == "dim");
  CHECK(wrong_with(valid_collection(), [](C& o) { o.metric = static_cast<Metric>(5); }) ==
        "metric");
  CHECK(wrong_with(valid_collection(), [](C& o) { o.type = static_cast<ScalarType>(6); }) ==
        "type");
  CHECK(wrong_with(valid_collection(), [](C& o) { o.metric = Metric::hamming; }) == "metric");
  CHECK(wrong_with(valid_collection(), [](C& o) { o.type = ScalarType::bit; }) == "metric");
  CHECK(wrong_with(valid_collection(), [](C& o) {
          o.type = ScalarType::bit;
          o.metric = Metric::hamming;
        }).empty());
}

TEST_CASE("options: declared fields are few, well named and named once", "[base]") {
  using C = CollectionOptions;
  const auto numbered = [](C& o, int count) {
    for (int i = 0; i < count; ++i) o.fields.push_back({"f" + std::to_string(i)});
  };
  CHECK(wrong_with(valid_collection(), [&](C& o) { numbered(o, 64); }).empty());
  CHECK(wrong_with(valid_collection(), [&](C& o) { numbered(o, 65); }) == "fields");
  for (const std::string& name : {std::string(), std::string("a b"), std::string("\xc3\xa9"),
                                  std::string(65, 'a'), std::string("a\0", 2)}) {
    CHECK(wrong_with(valid_collection(), [&](C& o) { o.fields = {{name}}; }) == "fields");
  }
  CHECK(wrong_with(valid_collection(), [](C& o) { o.fields = {{"a"}, {"b"}, {"a"}}; }) == "fields");
  CHECK(wrong_with(valid_collection(), [](C& o) {
          o.fields = {{"a", static_cast<FieldType>(3)}};
        }) == "fields");
}

TEST_CASE("options: bounds of a write, a search, a range and a scan", "[base]") {
  CHECK(wrong_with(WriteOptions(), [](auto& o) { o.durability = static_cast<Durability>(7); }) ==
        "durability");
  CHECK(wrong_with(SearchOptions(), [](auto& o) { o.k = 0; }) == "k");
  CHECK(wrong_with(SearchOptions(), [](auto& o) { o.k = 65'536; }).empty());
  CHECK(wrong_with(SearchOptions(), [](auto& o) { o.k = 65'537; }) == "k");
  CHECK(wrong_with(RangeSearchOptions(), [](auto& o) { o.radius = std::nan(""); }) == "radius");
  CHECK(wrong_with(RangeSearchOptions(), [](auto& o) {
          o.radius = std::numeric_limits<double>::infinity();
        }).empty());
  CHECK(wrong_with(RangeSearchOptions(), [](auto& o) { o.radius = -5.0; }).empty());
  CHECK(wrong_with(RangeSearchOptions(), [](auto& o) { o.limit = 0; }) == "limit");
  CHECK(wrong_with(RangeSearchOptions(), [](auto& o) { o.limit = 10'000'000; }).empty());
  CHECK(wrong_with(RangeSearchOptions(), [](auto& o) { o.limit = 10'000'001; }) == "limit");
  CHECK(wrong_with(ScanOptions(), [](auto& o) { o.after = RowId(""); }) == "after");
  CHECK(wrong_with(ScanOptions(), [](auto& o) { o.after = RowId(std::string(256, 'x')); }) ==
        "after");
  CHECK(wrong_with(ScanOptions(), [](auto& o) { o.after = RowId(std::string(255, 'x')); }).empty());
  CHECK(wrong_with(ScanOptions(), [](auto& o) { o.after = RowId(0); }).empty());
}

TEST_CASE("options: a filter longer than 1 MiB is refused wherever one may stand", "[base]") {
  const std::string longest(std::size_t{1} << 20, ' ');
  const auto at_limit = [&](auto& o) { o.filter = longest; };
  const auto beyond = [&](auto& o) { o.filter = longest + ' '; };
  CHECK(wrong_with(SearchOptions(), at_limit).empty());
  CHECK(wrong_with(SearchOptions(), beyond) == "filter");
  CHECK(wrong_with(RangeSearchOptions(), beyond) == "filter");
  CHECK(wrong_with(ScanOptions(), beyond) == "filter");
}

TEST_CASE("options: names of durability and field types", "[base]") {
  CHECK(to_string(Durability::sync) == "sync");
  CHECK(to_string(Durability::process) == "process");
  for (const char* name : {"number", "string", "boolean"}) {
    const auto type = parse_field_type(name);
    REQUIRE(type.has_value());
    CHECK(to_string(*type) == name);
  }
  CHECK(static_cast<int>(FieldType::boolean) == 2);
  CHECK(parse_field_type("Number") == std::nullopt);
  CHECK(to_string(static_cast<FieldType>(3)) == "unknown");
}

TEST_CASE("options: a request id is empty only when both halves are zero", "[base]") {
  CHECK(RequestId().empty());
  CHECK_FALSE(RequestId{1, 0}.empty());
  CHECK_FALSE(RequestId{0, 1}.empty());
}

TEST_CASE("options: a cancel token stays cancelled", "[base]") {
  CancelToken token;
  CHECK_FALSE(token.cancelled());
  token.cancel();
  token.cancel();
  CHECK(token.cancelled());
}

}  // namespace
