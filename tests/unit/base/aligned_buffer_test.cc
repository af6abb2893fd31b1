// Checks engine/base/aligned_buffer: alignment, zeros, slack, laziness and moves, for heap and
// mapped sizes. Single-threaded. Always holds: resident pages are asked of the system, not assumed.
// Part of unit_base, which links that layer and what is below it, nothing above.
#include "engine/base/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace {

using vecserve::engine::AlignedBuffer;

std::size_t resident_pages(const std::byte* data, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((bytes + page - 1) / page);
  REQUIRE(::mincore(const_cast<std::byte*>(data), bytes, pages.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

TEST_CASE("aligned buffer: memory is aligned, zeroed and has readable zero slack", "[base]") {
  for (const std::size_t bytes :
       {1u, 63u, 64u, 4096u, 32'640u, 32'641u, 100'000u, 4u << 20, 9u << 20}) {
    for (const auto use : {AlignedBuffer::Use::sparse, AlignedBuffer::Use::full}) {
      CAPTURE(bytes, use == AlignedBuffer::Use::full);
      const AlignedBuffer buffer(bytes, use);
      REQUIRE(buffer.size() == bytes);
      CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
      const std::size_t readable = bytes + AlignedBuffer::kSlackBytes;
      CHECK(std::all_of(buffer.data(), buffer.data() + readable,
                        [](std::byte b) { return b == std::byte{0}; }));
    }
  }
}

TEST_CASE("aligned buffer: size zero has no memory", "[base]") {
  const AlignedBuffer buffer(0);
  CHECK(buffer.data() == nullptr);
  CHECK(buffer.size() == 0);
}

TEST_CASE("aligned buffer: pages are taken only when touched", "[base]") {
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  AlignedBuffer buffer(kBytes);
  CHECK(resident_pages(buffer.data(), kBytes) == 0);
  buffer.data()[0] = std::byte{1};
  CHECK(resident_pages(buffer.data(), kBytes) == 1);
}

TEST_CASE("aligned buffer: a move takes the memory along", "[base]") {
  for (const std::size_t bytes : {100u, 1u << 20, 2u << 20}) {
    AlignedBuffer first(bytes,
                        bytes == 2u << 20 ? AlignedBuffer::Use::full : AlignedBuffer::Use::sparse);
    first.data()[7] = std::byte{42};
    const std::byte* address = first.data();
    AlignedBuffer second(std::move(first));
    CHECK(second.data() == address);
    AlignedBuffer third(10);
    third = std::move(second);
    CHECK(third.data() == address);
    CHECK(third.size() == bytes);
    CHECK(third.data()[7] == std::byte{42});
  }
}

TEST_CASE("aligned buffer: an impossible size throws bad_alloc", "[base]") {
  CHECK_THROWS_AS(AlignedBuffer(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS(AlignedBuffer(std::size_t{1} << 60), std::bad_alloc);
}

}  // namespace
