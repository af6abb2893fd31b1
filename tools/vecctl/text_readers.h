// Readers of text: JSON lines and CSV. Comes below row_reader; one thread.
// JSON lines: {"id": 7 or "seven", "vector": [...], "payload": {...}, "ttl_ms": n}, one per line;
// an id may be left out; "id_hex" stands for an id that is no text. CSV: the first line names the
// columns: "id"; "vector" with numbers between blanks, commas or semicolons, or v0, v1, ... with
// one number each; every other column is a payload field, a number where its text is one. Always
// holds: an error names file and line; the payload of a JSON line is kept as it was written.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/vecctl/row_reader.h"

namespace vecserve::vecctl {

[[nodiscard]] Result<std::unique_ptr<RowReader>> open_json_lines(const std::string& path,
                                                                 const ReadOptions& options);

[[nodiscard]] Result<std::unique_ptr<RowReader>> open_csv(const std::string& path,
                                                          const ReadOptions& options);

// The cells of one CSV record (RFC 4180): quoted cells may hold commas, quotes as "" and line ends.
// False when a quote is still open at the end, so that another line belongs to it.
[[nodiscard]] bool split_csv(std::string_view record, std::vector<std::string>& cells);

}  // namespace vecserve::vecctl
