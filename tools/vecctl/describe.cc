// See describe.h.
// Field by field, so that the order is the reader's and not the alphabet's. Pure, any thread.
// Always holds: every field of a struct appears in its JSON.
#include "tools/vecctl/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "tools/vecctl/table.h"
#include "tools/vecctl/values.h"

namespace vecserve::vecctl {
namespace {

std::string fields_text(const CollectionOptions& options) {
  std::string text;
  for (const FieldOptions& field : options.fields) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", field.name, to_string(field.type));
  }
  return text;
}

std::uint64_t memory_of(const CollectionStats& stats) {
  return stats.vector_bytes + stats.coarse_bytes + stats.sketch_bytes + stats.graph_bytes +
         stats.payload_bytes + stats.index_bytes;
}

std::string fields_json(const CollectionOptions& options) {
  std::string text = "[";
  for (const FieldOptions& field : options.fields) {
    text += fmt::format("{}{{\"name\":\"{}\",\"type\":\"{}\"}}", text.size() > 1 ? "," : "",
                        field.name, to_string(field.type));
  }
  return text + "]";
}

std::string reads_json(const SearchReads& reads) {
  return fmt::format("{{\"sketch\":{},\"sketch_fine\":{},\"coarse\":{},\"graph\":{},\"full\":{}}}",
                     reads.sketch, reads.sketch_fine, reads.coarse, reads.graph, reads.full);
}

bool is_certified(const SearchResult& result) {
  return !result.certified.empty() && result.certified[0] == 1;
}

// Where a server spent its time, the parts that matter.
std::string stages_text(const CallInfo& info) {
  const ServedStages& at = info.server;
  const auto wire = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(info.received - info.called).count());
  return fmt::format(
      "{} in all, {} of it in the server: queue {}, batch {}, scan {}, rescore {}, send {}; "
      "batch of {}",
      duration_text(wire), duration_text(at.total_ns), duration_text(at.queue_ns),
      duration_text(at.batch_ns), duration_text(at.scan_ns), duration_text(at.rescore_ns),
      duration_text(at.send_ns), at.batch_size);
}

}  // namespace

std::string collections_table(const std::vector<CollectionStats>& all) {
  Table table({"NAME", ">ROWS", ">DIM", "METRIC", "TYPE", ">MEMORY", "FIELDS"});
  for (const CollectionStats& stats : all) {
    table.add({stats.name, count_text(stats.rows), std::to_string(stats.options.dim),
               std::string(to_string(stats.options.metric)),
               std::string(to_string(stats.options.type)), bytes_text(memory_of(stats)),
               fields_text(stats.options)});
  }
  return table.text();
}

// Rows that entered each plane, a search: how far the cheaper ones narrow it down.
std::string reads_text(const CollectionStats& stats) {
  const double searches = std::max<double>(static_cast<double>(stats.searches), 1.0);
  const auto each = [&](std::uint64_t rows) { return static_cast<double>(rows) / searches; };
  const SearchReads& reads = stats.reads;
  return fmt::format("sketch {:.0f} (all axes {:.0f}), coarse {:.0f}, graph {:.0f}, full {:.0f}",
                     each(reads.sketch), each(reads.sketch_fine), each(reads.coarse),
                     each(reads.graph), each(reads.full));
}

std::string collection_table(const CollectionStats& stats) {
  Table table({"COLLECTION", stats.name});
  table.add({"rows", count_text(stats.rows)});
  table.add({"rows dead", count_text(stats.rows_dead)});
  table.add({"dimensions", std::to_string(stats.options.dim)});
  table.add({"metric", std::string(to_string(stats.options.metric))});
  table.add({"type", std::string(to_string(stats.options.type))});
  table.add({"fields", fields_text(stats.options)});
  table.add({"blocks", count_text(stats.blocks)});
  table.add({"slots", count_text(stats.slots)});
  table.add({"vectors", bytes_text(stats.vector_bytes)});
  table.add({"coarse plane", bytes_text(stats.coarse_bytes)});
  table.add({"sketches", bytes_text(stats.sketch_bytes)});
  table.add({"rows with a sketch", count_text(stats.rows_sketched)});
  table.add({"payloads", bytes_text(stats.payload_bytes)});
  table.add({"index", bytes_text(stats.index_bytes)});
  table.add({"rows written", count_text(stats.writes)});
  table.add({"rows erased", count_text(stats.erases)});
  table.add({"rows expired", count_text(stats.rows_expired)});
  table.add({"searches", count_text(stats.searches)});
  table.add({"searches run again", count_text(stats.search_reruns)});
  if (stats.searches > 0) table.add({"rows read a search", reads_text(stats)});
  table.add({"blocks rewritten", count_text(stats.blocks_rewritten)});
  if (stats.graph_bytes > 0) {
    table.add({"graph", bytes_text(stats.graph_bytes)});
    table.add({"rows in it", count_text(stats.rows_linked)});
    table.add({"rows beside it", count_text(stats.rows_unlinked)});
    table.add({"rows of its saved copy", count_text(stats.graph_saved)});
  }
  table.add({"backend", stats.backend});
  return table.text();
}

std::string collection_json(const CollectionStats& stats) {
  const std::pair<std::string_view, std::uint64_t> numbers[] = {
      {"rows", stats.rows},
      {"rows_dead", stats.rows_dead},
      {"blocks", stats.blocks},
      {"slots", stats.slots},
      {"vector_bytes", stats.vector_bytes},
      {"coarse_bytes", stats.coarse_bytes},
      {"sketch_bytes", stats.sketch_bytes},
      {"rows_sketched", stats.rows_sketched},
      {"graph_bytes", stats.graph_bytes},
      {"rows_linked", stats.rows_linked},
      {"rows_unlinked", stats.rows_unlinked},
      {"graph_restored", stats.graph_restored},
      {"graph_saved", stats.graph_saved},
      {"rows_surveyed", stats.rows_surveyed},
      {"payload_bytes", stats.payload_bytes},
      {"index_bytes", stats.index_bytes},
      {"writes", stats.writes},
      {"erases", stats.erases},
      {"searches", stats.searches},
      {"search_reruns", stats.search_reruns},
      {"blocks_rewritten", stats.blocks_rewritten},
      {"rows_expired", stats.rows_expired},
  };
  std::string text =
      fmt::format("{{\"name\":\"{}\",\"dim\":{},\"metric\":\"{}\",\"type\":\"{}\",\"fields\":{}",
                  stats.name, stats.options.dim, to_string(stats.options.metric),
                  to_string(stats.options.type), fields_json(stats.options));
  for (const auto& [name, value] : numbers) text += fmt::format(",\"{}\":{}", name, value);
  return text + fmt::format(",\"graph_measured\":{},\"reads\":{},\"backend\":{}}}",
                            stats.graph_measured, reads_json(stats.reads),
                            text_json(stats.backend));
}

std::string database_table(const DatabaseStats& stats) {
  Table table({"DATABASE", stats.path.empty() ? "in memory" : stats.path});
  table.add({"state", !stats.degraded.empty() ? stats.degraded
                      : stats.read_only       ? "read-only"
                                              : "well"});
  table.add({"collections", count_text(stats.collections)});
  table.add({"rows", count_text(stats.rows)});
  table.add({"durability", std::string(to_string(stats.durability))});
  table.add({"sequence", count_text(stats.sequence)});
  table.add({"group commits", count_text(stats.commits)});
  table.add({"writes in them", count_text(stats.commit_writes)});
  table.add({"opened in", duration_text(stats.open_ns)});
  table.add({"on disk", bytes_text(stats.disk_bytes)});
  table.add({"kernels", stats.kernels});
  table.add({"gpu", stats.gpu});
  table.add({"threads", std::to_string(stats.threads)});
  return table.text();
}

std::string database_json(const DatabaseStats& stats) {
  return fmt::format(
      "{{\"path\":{},\"read_only\":{},\"degraded\":{},\"durability\":\"{}\",\"collections\":{},"
      "\"rows\":{},\"sequence\":{},\"commits\":{},\"commit_writes\":{},\"open_ns\":{},"
      "\"disk_bytes\":{},\"kernels\":{},\"threads\":{},\"gpu\":{}}}",
      text_json(stats.path), stats.read_only, text_json(stats.degraded),
      to_string(stats.durability), stats.collections, stats.rows, stats.sequence, stats.commits,
      stats.commit_writes, stats.open_ns, stats.disk_bytes, text_json(stats.kernels), stats.threads,
      text_json(stats.gpu));
}

std::string checkpoint_json(const CheckpointInfo& made) {
  return fmt::format("{{\"path\":{},\"sequence\":{},\"collections\":{},\"rows\":{},\"bytes\":{}}}",
                     text_json(made.path), made.sequence, made.collections, made.rows, made.bytes);
}

std::string answer_table(const Answer& answer, bool with_vector) {
  std::vector<std::string> headings = {">#", "ID", ">DISTANCE", "PAYLOAD"};
  if (with_vector) headings.emplace_back("VECTOR");
  Table table(headings);
  std::size_t rank = 0;
  for (const Neighbor& neighbor : answer.result.of(0)) {
    std::vector<std::string> cells = {std::to_string(++rank), neighbor.id.to_string(),
                                      fmt::format("{:.6g}", neighbor.distance), neighbor.payload};
    if (with_vector) cells.push_back(vector_json(neighbor.vector));
    table.add(std::move(cells));
  }
  const SearchResult& result = answer.result;
  std::string about = "exact";
  if (!is_certified(result)) {
    about = result.recall < 1.0 ? fmt::format("approximate, recall {:.3f} expected", result.recall)
                                : "not exact";
  }
  if (!result.truncated.empty() && result.truncated[0] == 1) about += ", more rows match";
  about += fmt::format(", {} of {} rows", rank, count_text(result.rows_visible));
  if (answer.info.attempts > 0) {
    about += "; " + stages_text(answer.info);
  } else {
    about += fmt::format("; scan {}, rescore {}, by {}", duration_text(result.stages.scan_ns),
                         duration_text(result.stages.rescore_ns), result.backend);
  }
  return table.text() + about + "\n";
}

std::string explain_table(const Answer& answer) {
  const SearchResult& result = answer.result;
  const SearchReads& reads = result.reads;
  const SearchTimes& times = result.times;
  Table table({"PLANE", ">ROWS", ">TIME"});
  table.add({"sketch", count_text(reads.sketch), duration_text(times.sketch_ns)});
  table.add({"  of these all axes", count_text(reads.sketch_fine), ""});
  table.add({"coarse", count_text(reads.coarse), duration_text(times.coarse_ns)});
  table.add({"graph", count_text(reads.graph), duration_text(times.graph_ns)});
  table.add({"full", count_text(reads.full), duration_text(times.full_ns)});
  return table.text() + fmt::format("prepare {}, fetch {}, {} scanned again, certified: {}\n",
                                    duration_text(result.stages.prepare_ns),
                                    duration_text(result.stages.fetch_ns), result.reruns,
                                    is_certified(result) ? "yes" : "no");
}

std::string explain_json(const Answer& answer) {
  const SearchResult& result = answer.result;
  const SearchStages& stages = result.stages;
  const SearchTimes& times = result.times;
  const std::string planes = fmt::format(
      ",\"reads\":{},\"times\":{{\"sketch_ns\":{},\"coarse_ns\":{},\"graph_ns\":{},\"full_ns\":{}}"
      "}",
      reads_json(result.reads), times.sketch_ns, times.coarse_ns, times.graph_ns, times.full_ns);
  return fmt::format(
      "{{\"explain\":{{\"backend\":{},\"certified\":{},\"reruns\":{},"
      "\"stages\":{{\"prepare_ns\":{},\"scan_ns\":{},\"rescore_ns\":{},\"fetch_ns\":{}}}{}}}}}",
      text_json(result.backend), is_certified(result), result.reruns, stages.prepare_ns,
      stages.scan_ns, stages.rescore_ns, stages.fetch_ns, planes);
}

}  // namespace vecserve::vecctl
