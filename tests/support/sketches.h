// Sketches of rows in a test: of all blocks but the last, as a collection has them. Comes after
// data, before a scan. Single-threaded. Always holds: where nothing can be learned from the rows,
// the axes are coordinates, which are as valid.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/rows/sketch_plane.h"
#include "engine/scan/scanner.h"
#include "engine/scan/sketch_sieve.h"

namespace vecserve::test {

// Axes learned from the rows. Requires SketchAxes::serves(shape).
[[nodiscard]] std::shared_ptr<const engine::SketchAxes> sketch_axes(
    const engine::RowShape& shape, std::span<const engine::ScanBlock> blocks);

// Gives the blocks their sketches, which are returned and must outlive the scan. None for shapes
// that have no sketches.
[[nodiscard]] std::vector<std::shared_ptr<const engine::SketchPlane>> make_sketches(
    const engine::RowShape& shape, std::span<engine::ScanBlock> blocks);

// Makes all queries of the request ready. False: there are no sketches.
[[nodiscard]] bool prepare(engine::SketchSieve& sieve, const engine::ScanRequest& request);

}  // namespace vecserve::test
