// Every bound of the engine in one place: what a caller may ask for and how large a queue may grow.
// Stands below everything; knows nothing but numbers. Over a limit the answer is a typed error.
// Always holds: the relations between limits that the static_asserts at the end state.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecserve::engine::limits {

// What callers may ask for.
inline constexpr std::uint32_t dim_max = 65'536;                      // coordinates of a vector
inline constexpr std::uint32_t k_max = 65'536;                        // neighbours of one query
inline constexpr std::uint32_t ef_max = 65'536;                       // beam of a walk
inline constexpr std::uint32_t queries_max = 65'536;                  // queries of one search call
inline constexpr std::uint32_t range_rows_max = 10'000'000;           // answers of one range search
inline constexpr std::uint32_t batch_rows_max = 1'000'000;            // rows of one write
inline constexpr std::size_t batch_bytes_max = std::size_t{1} << 30;  // bytes of one write
inline constexpr std::size_t id_bytes_max = 255;                      // a byte-string id
inline constexpr std::size_t payload_bytes_max = std::size_t{1} << 20;  // one row's JSON
inline constexpr std::uint32_t payload_depth_max = 64;                  // nesting of one row's JSON
inline constexpr std::size_t filter_bytes_max = std::size_t{1} << 20;   // text of a filter
inline constexpr std::uint32_t filter_depth_max = 64;                   // nesting of a filter
inline constexpr std::uint32_t filter_nodes_max = 65'536;  // operators and operands of a filter
inline constexpr std::uint32_t fields_max = 64;            // declared payload fields
inline constexpr std::size_t name_bytes_max = 64;          // collection and field names
inline constexpr std::uint32_t collections_max = 65'536;   // collections of one database
inline constexpr std::uint32_t page_rows_max = 100'000;    // rows of one page of a scan
inline constexpr std::uint64_t ttl_ms_max = 100ull * 366 * 24 * 3600 * 1000;  // about a century
inline constexpr std::uint32_t threads_max = 256;  // threads of the worker pool

// How the engine bounds itself.
inline constexpr std::uint32_t block_rows_max = 8'192;  // capacity of a block of short vectors
inline constexpr std::uint32_t block_rows_min = 64;     // and of one of very long vectors
inline constexpr std::size_t block_bytes_target = std::size_t{4} << 20;  // full plane of one block
inline constexpr std::uint32_t lanes_max = 64;          // searches scanning at one time
inline constexpr std::uint32_t commit_ops_max = 1'024;  // writes merged into one group commit
inline constexpr std::size_t commit_bytes_max = std::size_t{4} << 20;  // bytes that close a group
inline constexpr std::uint32_t request_ids_max = 65'536;               // remembered request ids
inline constexpr std::uint64_t slots_max = std::uint64_t{1} << 48;  // slots of a collection, ever

static_assert(block_rows_min % 64 == 0, "live bits are handled in words of 64");
static_assert(block_rows_max % block_rows_min == 0 && block_rows_max <= 65'536);
static_assert(batch_rows_max >= block_rows_max, "a batch may fill more than a block");
static_assert(payload_bytes_max < batch_bytes_max && id_bytes_max < payload_bytes_max);

}  // namespace vecserve::engine::limits
