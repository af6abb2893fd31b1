// What host and device tell each other about a scan: plain structs, the same bytes on both sides.
// Comes between gpu_scanner, which fills them in, and the kernels, which read them. Always
// holds: a key orders like the float it was made of, so that an unsigned minimum is a minimum.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace vecserve::engine::gpu {

inline constexpr std::uint32_t kTileRows = 64;      // rows of one word of a mask
inline constexpr std::uint32_t kFewQueries = 4;     // up to here the dot-product kernel takes them
inline constexpr std::uint32_t kGroupQueries = 64;  // side by side in the matrix kernel
inline constexpr std::uint32_t kScanThreads = 128;  // of a block, in both; see threads_of()
// What every device gives a block of shared memory unasked, and vectors whose floats fit into it.
inline constexpr std::uint32_t kSharedMax = 48 << 10;
inline constexpr std::uint32_t kFullLanes = 128;  // see sharpen.cuh
inline constexpr std::uint32_t kFullDimMax = kSharedMax / 4;
inline constexpr std::uint32_t kNoKey = 0xffffffffu;  // above the key of every float

// The key of a float, as score.cuh makes it on the device.
[[nodiscard]] inline std::uint32_t key_of_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}

[[nodiscard]] inline float float_of_key(std::uint32_t key) {
  return std::bit_cast<float>(key ^ ((key >> 31) != 0 ? 0x80000000u : 0xffffffffu));
}

// Instead of the address of mask words.
inline constexpr std::uint64_t kNoRows = 0;
inline constexpr std::uint64_t kAllRows = 1;

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

// A block's sketch: see engine/rows/sketch_plane.h, with codes without their bias. Device
// addresses.
struct DeviceSketch {
  const std::uint8_t* first;  // null: this block is scanned without
  const float* numbers;       // bases, then lefts, then reaches, `padded` of each
  const std::uint8_t* fine;
  std::uint32_t padded;
  std::uint32_t unused;
};

// A query as sketches see it: see engine/scan/sketch_kernels.h.
struct alignas(16) DeviceSketchQuery {
  std::int8_t high[64];
  std::int8_t low[64];
  float steps[2];
  float first_base;
  float first_twice_left;
  float all_base;
  float all_twice_left;
  float reach_first;  // what the query adds to the reach of either test
  float reach_all;
  float shift;  // squared distance between sketches = shift + factor * distance
  float factor;
  float unused[2];
};

// How a full vector's coordinates are stored.
enum class FullType : std::uint32_t { f32 = 0, f16 = 1, bf16 = 2, i8 = 3, u8 = 4 };

// A block's vectors as they were given. Device addresses.
struct DeviceFull {
  const std::uint8_t* vectors;
  const float* norms;   // rounded up; of l2: null
  std::uint32_t count;  // of its first rows so many
  std::uint32_t unused;
};

// What bounds of a distance are made of, from a sum over a full vector: see ScoreBound.
struct alignas(16) DeviceFullQuery {
  float factor;
  float absolute;
  float per_norm;
  float inverse;
};

// Counted over all queries of a launch.
struct ScanTotals {
  std::uint32_t packed;
  std::uint32_t sifted;  // eligible rows whose sketch was looked at
  std::uint32_t passed_first;
  std::uint32_t passed_all;
  std::uint32_t sharpened;  // survivors whose vector was read
  std::uint32_t unused[3];
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
  std::uint32_t given_up;   // of some query not 0: rows did not come, and nothing found counts
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
  const DeviceSketch* sketches;  // of each block; for sift kernels only
  const DeviceSketchQuery* sketch_queries;
  // Of mask m and block b, [m * block_count + b]: the address of its words, kAllRows or kNoRows.
  const std::uint64_t* mask_at;
  const DeviceQuery* queries;
  const std::int8_t* codes;  // of the queries, of `stride` bytes each
  QueryState* states;
  std::uint32_t* keys;  // of survivors' upper bounds, `capacity` for each query
  DeviceSurvivor* survivors;
  ScanTotals* totals;
  PackedSurvivor* packed;
  const DeviceFull* fulls;  // of each block; for sharpen only, as the next two
  const DeviceFullQuery* full_queries;
  const float* full_floats;  // the queries, `full_width` floats of each
  std::uint32_t block_count;
  std::uint32_t tiles_per_block;
  std::uint32_t query_count;
  std::uint32_t stride;  // bytes from row to row, a multiple of 64; of bits, of 16
  std::uint32_t capacity;
  std::uint32_t packed_capacity;
  std::uint32_t first_tile;
  std::uint32_t last_tile;
  std::uint32_t restart;  // refine: forget the survivors, keep the threshold
  std::uint32_t is_l2;
  std::uint32_t is_bits;      // scores are distances, and rows have nothing but their bytes
  std::uint32_t fine_codes;   // of a sketch's second stripe, a multiple of 16; 0: there is none
  std::uint32_t fine_stride;  // bytes from record to record
  std::uint32_t full_type;    // FullType
  std::uint32_t full_stride;  // bytes from vector to vector, a multiple of 16
  std::uint32_t full_chunks;  // of sixteen bytes, in a vector
  std::uint32_t full_width;   // not less than the coordinates in those, a multiple of 4
  float offset;               // of the distance over the negated product: cosine 1

  bool operator==(const ScanArguments&) const = default;
};

enum class Kernel : std::uint8_t {
  scan_one,  // one query over tiles [first, last)
  scan_few,  // up to kFewQueries
  sift_one,  // the same two by sketches first, then the coarse rows of what they let pass
  sift_few,
  scan_groups,      // any number, in groups of kGroupQueries
  scan_bits,        // any number over rows of bits, in groups of kFewQueries
  scan_warpgroups,  // as scan_groups, on devices that have the instructions of sm_90a
  refine,           // thresholds from the survivors so far
  sharpen,          // bounds of survivors from their vectors, where those are there
  pack,             // survivors below the final threshold, one after another
};

// Shared memory of a block of a kernel that depends on nothing but the rows' stride.
inline constexpr std::uint32_t kGroupSharedBytes = 12'304;  // see group_scan.cuh
// Before the queries; see warpgroup_scan.cuh.
inline constexpr std::uint32_t kWarpgroupSharedBytes = 54'336;
// What a block of sm_90 can have, and the longest rows whose queries fit into it.
inline constexpr std::uint32_t kWarpgroupSharedMax = 227 << 10;
inline constexpr std::uint32_t kWarpgroupStrideMax =
    (kWarpgroupSharedMax - kWarpgroupSharedBytes) / kGroupQueries / 64 * 64;
[[nodiscard]] constexpr std::size_t shared_bytes(Kernel kernel, std::uint32_t stride) {
  switch (kernel) {
    case Kernel::scan_one:
      return stride;
    case Kernel::scan_few:
    case Kernel::scan_bits:
      return std::size_t{kFewQueries} * stride;
    case Kernel::sift_one:
      return stride + sizeof(DeviceSketchQuery);
    case Kernel::sift_few:
      return kFewQueries * (stride + sizeof(DeviceSketchQuery));
    case Kernel::scan_groups:
      return kGroupSharedBytes;
    case Kernel::scan_warpgroups:
      return kWarpgroupSharedBytes + std::size_t{kGroupQueries} * stride;
    case Kernel::refine:
    case Kernel::sharpen:
    case Kernel::pack:
      break;
  }
  return 0;
}
// Of one launch of it.
[[nodiscard]] constexpr std::size_t shared_bytes(Kernel kernel, const ScanArguments& arguments) {
  return kernel == Kernel::sharpen ? arguments.full_width * sizeof(float)
                                   : shared_bytes(kernel, arguments.stride);
}

// Threads of a block.
[[nodiscard]] constexpr std::uint32_t threads_of(Kernel kernel) {
  return kernel == Kernel::scan_warpgroups ? kScanThreads + 32 : kScanThreads;  // one more warp
}

}  // namespace vecserve::engine::gpu
