// Checks engine/base/names.h against the set of characters written out, for every byte.
// Single-threaded.
// Always holds: no byte value is left out.
#include "engine/base/names.h"

#include <catch2/catch.hpp>
#include <string>

namespace {

using vecserve::engine::is_valid_name;

TEST_CASE("names: exactly A-Z a-z 0-9 _ and - are allowed", "[base]") {
  const std::string allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  for (int byte = 0; byte < 256; ++byte) {
    const std::string name(1, static_cast<char>(byte));
    CAPTURE(byte);
    CHECK(is_valid_name(name) == (allowed.find(name) != std::string::npos));
    CHECK(is_valid_name("a" + name + "z") == (allowed.find(name) != std::string::npos));
  }
}

TEST_CASE("names: 1 to 64 bytes", "[base]") {
  CHECK_FALSE(is_valid_name(""));
  CHECK(is_valid_name("a"));
  CHECK(is_valid_name(std::string(64, 'a')));
  CHECK_FALSE(is_valid_name(std::string(65, 'a')));
}

}  // namespace
