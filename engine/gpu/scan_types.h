// What host and device tell each other about a scan: plain structs, the same bytes on both sides.
// Comes between gpu_scanner, which fills them in, and the kernels, which read them. No code. Always
// holds: a key orders like the float it was made of, so that an unsigned minimum is a minimum.
#pragma once

#include <cstdint>

namespace vecserve::engine::gpu {

inline constexpr std::uint32_t kTileRows = 64;      // rows of one word of a mask
inline constexpr std::uint32_t kFewQueries = 4;     // up to here the dot-product kernel takes them
inline constexpr std::uint32_t kGroupQueries = 64;  // side by side in the matrix kernel
inline constexpr std::uint32_t kScanThreads = 128;  // of a block, in both
inline constexpr std::uint32_t kNoKey = 0xffffffffu;  // above the key of every float

// Instead of an offset into the mask words.
inline constexpr std::uint32_t kAllRows = 0xfffffffeu;
inline constexpr std::uint32_t kNoRows = 0xffffffffu;

// What the coarse plane keeps of a row beside its codes.
struct alignas(16) DeviceRow {
  float scale;
  float square;
  float residual;
  float norm;
};

// A block's page: codes (signed, of `stride` bytes each) and rows. Device addresses.
struct DeviceBlock {
  const std::uint8_t* codes;
  const DeviceRow* rows;
  std::uint32_t count;  // rows to look at: those that are mirrored and published
  std::uint32_t unused;
};

struct DeviceQuery {
  float scale;  // l2: twice that of the query
  float square;
  float residual;
  float coarse_norm;
  std::uint32_t want;  // so many upper bounds make a threshold; 0: it stays at the limit
  std::uint32_t mask;
};

// How far a query has come; written by the kernels.
struct QueryState {
  std::uint32_t threshold;  // key: no row of the answer is further
  std::uint32_t count;      // survivors found; beyond the capacity they are counted, not kept
  std::uint32_t next;       // when so many were found, the threshold is looked for again
  std::uint32_t unused;
};

struct alignas(16) DeviceSurvivor {
  std::uint32_t block;
  std::uint32_t position;
  float score;
  float lower;
};

struct alignas(16) PackedSurvivor {
  std::uint32_t query;
  std::uint32_t block;
  std::uint32_t position;
  float score;
};

// Arguments of every kernel: device addresses and numbers.
struct ScanArguments {
  const DeviceBlock* blocks;
  const std::uint32_t* mask_at;  // of mask m and block b: [m * block_count + b], words' offset
  const std::uint64_t* mask_words;
  const DeviceQuery* queries;
  const std::int8_t* codes;  // of the queries, of `stride` bytes each
  QueryState* states;
  std::uint32_t* keys;  // of survivors' upper bounds, `capacity` for each query
  DeviceSurvivor* survivors;
  std::uint32_t* total;  // of packed ones
  PackedSurvivor* packed;
  std::uint32_t block_count;
  std::uint32_t tiles_per_block;
  std::uint32_t query_count;
  std::uint32_t stride;  // bytes from row to row, a multiple of 64
  std::uint32_t capacity;
  std::uint32_t packed_capacity;
  std::uint32_t first_tile;
  std::uint32_t last_tile;
  std::uint32_t restart;  // refine: forget the survivors, keep the threshold
  std::uint32_t is_l2;
  float offset;  // of the distance over the negated product: cosine 1
};

enum class Kernel : std::uint8_t {
  scan_one,     // one query over tiles [first, last)
  scan_few,     // up to kFewQueries
  scan_groups,  // any number, in groups of kGroupQueries
  refine,       // thresholds from the survivors so far
  pack,         // survivors below the final threshold, one after another
};

}  // namespace vecserve::engine::gpu
