// The checksum of the format on disk: its values are pinned, since files hold them. Below all other
// tests of the store. One thread.
// Always holds: the expected values are those of XXH3-64's published test vectors.
#include "engine/store/checksum.h"

#include <catch2/catch.hpp>
#include <string>

namespace vecserve::engine {
namespace {

TEST_CASE("checksum: is XXH3-64", "[checksum]") {
  CHECK(checksum("") == 0x2d06800538d394c2);
  CHECK(checksum("a") == 0xe6c632b61e964e1f);
  CHECK(checksum("abc") == 0x78af5f94892f3950);
}

TEST_CASE("checksum: depends on every byte, on the length and on the seed", "[checksum]") {
  const std::string bytes(300, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string other = bytes;
    other[i] = 'y';
    REQUIRE(checksum(other) != checksum(bytes));
    REQUIRE(checksum(bytes.substr(0, i)) != checksum(bytes));
  }
  CHECK(checksum(bytes, 1) != checksum(bytes));
}

}  // namespace
}  // namespace vecserve::engine
