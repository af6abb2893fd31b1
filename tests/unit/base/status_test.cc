// Checks vecserve/status.h: codes and their fixed numbers, texts, copies and moves, Result.
// Single-threaded.
// Always holds: the numbers and names expected here are those of the wire.
#include "vecserve/status.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace vecserve;

Status fails_at(int step, int& reached) {
  for (int i = 0; i < 3; ++i) {
    VECSERVE_TRY(i == step ? Status(StatusCode::not_found, "step") : Status());
    reached = i + 1;
  }
  return {};
}

Result<std::string> text_or_error(bool ok) {
  if (!ok) return {StatusCode::data_loss, "gone"};
  return std::string("text");
}

TEST_CASE("status: the numbers of the codes never change", "[base]") {
  const std::vector<std::pair<int, std::string>> expected = {{0, "ok"},
                                                             {1, "invalid_argument"},
                                                             {2, "not_found"},
                                                             {3, "already_exists"},
                                                             {4, "failed_precondition"},
                                                             {5, "resource_exhausted"},
                                                             {6, "deadline_exceeded"},
                                                             {7, "cancelled"},
                                                             {8, "unavailable"},
                                                             {9, "data_loss"},
                                                             {10, "unimplemented"},
                                                             {11, "internal"},
                                                             {12, "io_error"},
                                                             {13, "unauthenticated"},
                                                             {14, "permission_denied"}};
  for (const auto& [number, name] : expected) {
    CHECK(to_string(static_cast<StatusCode>(number)) == name);
  }
  CHECK(static_cast<int>(StatusCode::io_error) == 12);
  CHECK(static_cast<int>(StatusCode::permission_denied) == 14);
  CHECK(to_string(static_cast<StatusCode>(15)) == "unknown");
  CHECK(to_string(static_cast<StatusCode>(255)) == "unknown");
}

TEST_CASE("status: ok has no text, and an error of code ok is ok", "[base]") {
  const Status ok;
  CHECK(ok.ok());
  CHECK(ok.code() == StatusCode::ok);
  CHECK(ok.message().empty());
  CHECK(ok.field().empty());
  CHECK(ok.to_string() == "ok");
  CHECK(Status(StatusCode::ok, "ignored").ok());
  CHECK(Status(StatusCode::ok, "ignored").message().empty());
}

TEST_CASE("status: the text is code, field and message, without what is empty", "[base]") {
  const Status bad = Status::invalid_argument("k", "must be at least 1");
  CHECK_FALSE(bad.ok());
  CHECK(bad.code() == StatusCode::invalid_argument);
  CHECK(bad.field() == "k");
  CHECK(bad.message() == "must be at least 1");
  CHECK(bad.to_string() == "invalid_argument: k: must be at least 1");
  CHECK(Status(StatusCode::internal, "").to_string() == "internal");
  CHECK(Status(StatusCode::internal, "why").to_string() == "internal: why");
  CHECK(Status(StatusCode::internal, "", "where").to_string() == "internal: where");
}

TEST_CASE("status: copies are independent and survive assignment to themselves", "[base]") {
  Status first(StatusCode::io_error, "disk", "path");
  Status second = first;
  first = Status();
  CHECK(first.ok());
  CHECK(second.to_string() == "io_error: path: disk");
  Status& alias = second;
  second = alias;
  CHECK(second.to_string() == "io_error: path: disk");
  first = second;
  second = Status(StatusCode::cancelled, "x");
  CHECK(first.message() == "disk");
  CHECK(second.code() == StatusCode::cancelled);
  const Status moved = std::move(second);
  CHECK(moved.code() == StatusCode::cancelled);
}

TEST_CASE("status: VECSERVE_TRY returns at the first error", "[base]") {
  int reached = 0;
  CHECK(fails_at(1, reached).code() == StatusCode::not_found);
  CHECK(reached == 1);
  CHECK(fails_at(3, reached).ok());
  CHECK(reached == 3);
}

TEST_CASE("result: holds a value or the reason why there is none", "[base]") {
  const Result<std::string> good = text_or_error(true);
  REQUIRE(good.ok());
  CHECK(static_cast<bool>(good));
  CHECK(*good == "text");
  CHECK(good->size() == 4);
  CHECK(good.status().ok());
  const Result<std::string> bad = text_or_error(false);
  CHECK_FALSE(bad.ok());
  CHECK_FALSE(static_cast<bool>(bad));
  CHECK(bad.status().to_string() == "data_loss: gone");
}

TEST_CASE("result: a value that can only be moved moves out", "[base]") {
  Result<std::unique_ptr<int>> made(std::make_unique<int>(7));
  REQUIRE(made.ok());
  CHECK(**made == 7);
  const std::unique_ptr<int> out = *std::move(made);
  CHECK(*out == 7);
}

}  // namespace
