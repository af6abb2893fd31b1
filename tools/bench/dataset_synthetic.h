// Synthetic data sets, the hard ones among them; see DatasetRequest for what each is. Comes below
// dataset. Main thread, which spreads the rows over all cores. Always holds: a vector follows from
// the seed and its own number alone.
#pragma once

#include <optional>

#include "tools/bench/dataset.h"

namespace vecserve::bench {

// nullopt: no synthetic set has this name.
[[nodiscard]] std::optional<Dataset> make_synthetic(const DatasetRequest& request);

}  // namespace vecserve::bench
