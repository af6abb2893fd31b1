// Compares what is stored with what is served, row by row. Called by DatabaseCore::verify with no
// commit under way. Always holds: the first difference ends it with data_loss that names it.
// Comes after every commit that was acknowledged, on whichever thread leads.
#pragma once

#include <memory>
#include <vector>

#include "engine/collection_core.h"
#include "engine/store/store.h"

namespace vecserve::engine {

[[nodiscard]] Result<VerifyReport> verify_store(
    Store& store, const std::vector<std::shared_ptr<CollectionCore>>& collections);

}  // namespace vecserve::engine
