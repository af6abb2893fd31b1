// Checks engine/base/huge_pages: pieces are zeroed, apart and untouched, and memory goes back to
// the system piece by piece and region by region. Some threads at once in one case. Always holds:
// what is resident or mapped is asked of the system, not assumed.
#include "engine/base/huge_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using namespace vecserve::engine;

constexpr std::size_t kPage = 4'096;

bool all_are(const std::byte* data, std::size_t bytes, std::byte value) {
  return std::all_of(data, data + bytes, [value](std::byte b) { return b == value; });
}

bool is_mapped(std::byte* data) {
  unsigned char page = 0;
  return ::mincore(data, kPage, &page) == 0;
}

bool is_resident(std::byte* data) {
  unsigned char page = 0;
  REQUIRE(::mincore(data, kPage, &page) == 0);
  return (page & 1) != 0;
}

}  // namespace

TEST_CASE("huge pages: pieces of all sizes are zeroed, on pages and apart from each other",
          "[base]") {
  struct Piece {
    std::byte* data;
    std::size_t bytes;
  };
  std::vector<Piece> pieces;
  for (const std::size_t bytes : {kPage, 10 * kPage, std::size_t{1} << 20, kHugePieceBytesMax}) {
    for (int i = 0; i < 12; ++i) {  // more than one region of the largest
      Piece piece{take_huge_piece(bytes), bytes};
      REQUIRE(reinterpret_cast<std::uintptr_t>(piece.data) % kPage == 0);
      REQUIRE(all_are(piece.data, bytes, std::byte{0}));
      std::memset(piece.data, static_cast<int>(pieces.size()) + 1, bytes);
      pieces.push_back(piece);
    }
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    CHECK(all_are(pieces[i].data, pieces[i].bytes, static_cast<std::byte>(i + 1)));
    give_back_huge_piece(pieces[i].data, pieces[i].bytes);
  }
}

TEST_CASE("huge pages: what is given back is the system's again, the region with its last piece",
          "[base]") {
  std::byte* const first = take_huge_piece(kPage);
  std::byte* const second = take_huge_piece(kPage);
  first[0] = second[0] = std::byte{7};
  REQUIRE(is_resident(first));
  give_back_huge_piece(first, kPage);
  REQUIRE(is_mapped(first));
  CHECK_FALSE(is_resident(first));
  CHECK(second[0] == std::byte{7});
  give_back_huge_piece(second, kPage);
  CHECK_FALSE(is_mapped(second));
  // The next one comes from a new region and is zeroed.
  std::byte* const third = take_huge_piece(kPage);
  CHECK(third[0] == std::byte{0});
  give_back_huge_piece(third, kPage);
}

TEST_CASE("huge pages: threads take and give back without meeting", "[base]") {
  const auto churn = [](int mark) {
    std::vector<std::byte*> kept;
    for (int i = 0; i < 300; ++i) {
      std::byte* const piece = take_huge_piece(5 * kPage);
      std::memset(piece, mark, 5 * kPage);
      kept.push_back(piece);
      if (i % 3 != 0) continue;
      if (!all_are(kept.front(), 5 * kPage, static_cast<std::byte>(mark))) std::terminate();
      give_back_huge_piece(kept.front(), 5 * kPage);
      kept.erase(kept.begin());
    }
    for (std::byte* piece : kept) {
      if (!all_are(piece, 5 * kPage, static_cast<std::byte>(mark))) std::terminate();
      give_back_huge_piece(piece, 5 * kPage);
    }
  };
  std::vector<std::jthread> threads;
  for (int mark = 1; mark <= 4; ++mark) threads.emplace_back(churn, mark);
}
