// Statistics and answers as tables for people and as JSON for programs. Comes below the commands;
// pure, any thread.
// Always holds: a JSON text is one object on one line, with the field names of the public structs.
#pragma once

#include <string>
#include <vector>

#include "tools/vecctl/target.h"

namespace vecserve::vecctl {

[[nodiscard]] std::string collections_table(const std::vector<CollectionStats>& all);
[[nodiscard]] std::string collection_table(const CollectionStats& stats);
[[nodiscard]] std::string collection_json(const CollectionStats& stats);
[[nodiscard]] std::string database_table(const DatabaseStats& stats);
[[nodiscard]] std::string database_json(const DatabaseStats& stats);
[[nodiscard]] std::string checkpoint_json(const CheckpointInfo& made);

// The neighbours, then one line about the answer: exact or not, and where its time went.
[[nodiscard]] std::string answer_table(const Answer& answer, bool with_vector);

// What the search read: rows entering each plane and the time in it.
[[nodiscard]] std::string explain_table(const Answer& answer);
[[nodiscard]] std::string explain_json(const Answer& answer);

}  // namespace vecserve::vecctl
