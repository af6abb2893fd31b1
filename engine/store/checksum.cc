// The checksum; see checksum.h. Below record, meta and watermark; the only file that knows xxHash.
// Pure function, any thread.
// Always holds: seed 0 gives plain XXH3-64.
#include "engine/store/checksum.h"

// Inlined, so that short inputs cost no call into a shared library.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace vecserve::engine {

std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace vecserve::engine
