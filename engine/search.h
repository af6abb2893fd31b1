// The search calls of a collection: snapshot, masks, plan, scan, rescore, certificate, and the rows
// of the answer. Comes after the public Collection. Runs on the caller's thread; workers of the
// pool join it for large scans. Always holds: every answer that was not asked for as approximate is
// exact; a query whose first scan could not prove that is scanned once more with the limit that the
// first one found.
#pragma once

#include <span>

#include "engine/collection_core.h"

namespace vecserve::engine {

[[nodiscard]] Status search_collection(const CollectionCore& core, std::span<const Query> queries,
                                       const SearchOptions& options, SearchResult& result);

// The same for graph_effort: not counted, and not among the recent queries.
[[nodiscard]] Status search_for_measure(const CollectionCore& core, std::span<const Query> queries,
                                        const SearchOptions& options, SearchResult& result);

[[nodiscard]] Status range_search_collection(const CollectionCore& core,
                                             std::span<const Query> queries,
                                             const RangeSearchOptions& options,
                                             SearchResult& result);

}  // namespace vecserve::engine
