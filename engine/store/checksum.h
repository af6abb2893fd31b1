// The one checksum of everything that this folder writes: XXH3, 64 bits. Used by record, meta and
// watermark, and by the fuzz target that sets it right on purpose. Pure function, any thread.
// Always holds: the values are part of the format on disk and never change.
#pragma once

#include <cstdint>
#include <string_view>

namespace vecserve::engine {

[[nodiscard]] std::uint64_t checksum(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace vecserve::engine
