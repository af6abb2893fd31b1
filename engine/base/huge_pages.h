// Zeroed memory in huge pages, also for pieces that are smaller than one: pieces are cut one after
// another from large regions. A scan that reads one byte a coordinate runs at the speed of memory,
// and with small pages it waits for the page table a third of the time. Stands below
// AlignedBuffer. Any thread; one lock, taken when a block is made and when it goes. Always holds:
// a piece is never handed out twice; memory that is given back returns to the system at once, the
// address range of a region with its last piece.
#pragma once

#include <cstddef>

namespace vecserve::engine {

// Larger pieces had better be mapped on their own.
inline constexpr std::size_t kHugePieceBytesMax = std::size_t{8} << 20;

// `bytes` is a positive multiple of the page size, at most kHugePieceBytesMax. Nothing is touched
// before its first use. Throws std::bad_alloc. Where the system has no huge pages, small ones.
[[nodiscard]] std::byte* take_huge_piece(std::size_t bytes);

// `data` came from take_huge_piece with the same size, and is not used any more.
void give_back_huge_piece(std::byte* data, std::size_t bytes);

}  // namespace vecserve::engine
