// See commands.h.
// One function per command, found by name in one table. The main thread only.
// Always holds: with --json every line written is one JSON object.
#include "tools/vecctl/commands.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "tools/vecctl/describe.h"
#include "tools/vecctl/row_reader.h"
#include "tools/vecctl/table.h"
#include "tools/vecctl/values.h"

namespace vecserve::vecctl {
namespace {

Status put(std::FILE* out, const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), out) == text.size()) return {};
  return {StatusCode::io_error, "the answer could not be written (is the disk full?)"};
}

Status ids_of(const Arguments& arguments, std::vector<RowId>& ids) {
  for (const std::string& text : arguments.ids) {
    Result<RowId> id = parse_row_id(text, arguments.text_ids);
    VECSERVE_TRY(id.status());
    ids.push_back(*std::move(id));
  }
  return {};
}

Status create(Target& target, const Arguments& arguments, std::FILE* out) {
  CollectionOptions options;
  options.dim = arguments.dim;
  const auto metric = parse_metric(arguments.metric);
  const auto type = parse_scalar_type(arguments.type);
  if (!metric) {
    return Status::invalid_argument("metric", "must be l2, dot, cosine, l1 or hamming");
  }
  if (!type) return Status::invalid_argument("type", "must be f32, f16, bf16, i8, u8 or bit");
  options.metric = *metric;
  options.type = *type;
  for (const std::string& text : arguments.fields) {
    Result<FieldOptions> field = parse_field_option(text);
    VECSERVE_TRY(field.status());
    options.fields.push_back(*std::move(field));
  }
  VECSERVE_TRY(options.validate());
  VECSERVE_TRY(target.create(arguments.name, options));
  if (arguments.json) return put(out, fmt::format("{{\"created\":\"{}\"}}\n", arguments.name));
  return put(out, fmt::format("created {}: {} dimensions of {}, {}\n", arguments.name, options.dim,
                              to_string(options.type), to_string(options.metric)));
}

Status drop(Target& target, const Arguments& arguments, std::FILE* out) {
  VECSERVE_TRY(target.drop(arguments.name));
  return put(out, arguments.json ? fmt::format("{{\"dropped\":\"{}\"}}\n", arguments.name)
                                 : fmt::format("dropped {}\n", arguments.name));
}

Status list(Target& target, const Arguments& arguments, std::FILE* out) {
  const Result<std::vector<std::string>> names = target.list();
  VECSERVE_TRY(names.status());
  std::vector<CollectionStats> all;
  for (const std::string& name : *names) {
    Result<CollectionStats> stats = target.stats(name);
    if (stats.status().code() == StatusCode::not_found) continue;  // dropped meanwhile
    VECSERVE_TRY(stats.status());
    all.push_back(*std::move(stats));
  }
  if (arguments.json) {
    std::string text;
    for (const CollectionStats& stats : all) text += collection_json(stats) + "\n";
    return put(out, text);
  }
  return put(out, all.empty() ? "no collections; make one: vecctl create NAME --dim N\n"
                              : collections_table(all));
}

Status stats(Target& target, const Arguments& arguments, std::FILE* out) {
  if (arguments.name.empty()) {
    const Result<DatabaseStats> about = target.database_stats();
    VECSERVE_TRY(about.status());
    return put(out, arguments.json ? database_json(*about) + "\n" : database_table(*about));
  }
  const Result<CollectionStats> about = target.stats(arguments.name);
  VECSERVE_TRY(about.status());
  return put(out, arguments.json ? collection_json(*about) + "\n" : collection_table(*about));
}

Status import(Target& target, const Arguments& arguments, std::FILE* out) {
  const auto format =
      arguments.format.empty() ? format_of(arguments.file) : parse_file_format(arguments.format);
  if (!format) {
    return Status::invalid_argument("format",
                                    "must be npy, fvecs, bvecs, jsonl or csv; say it "
                                    "with --format when the file's name does not");
  }
  const ReadOptions options{arguments.first_id, !arguments.no_header};
  Result<std::unique_ptr<RowReader>> reader = open_rows(arguments.file, *format, options);
  VECSERVE_TRY(reader.status());
  VECSERVE_TRY(target.stats(arguments.name).status());  // no such collection: say so at once
  Progress progress(!arguments.quiet);
  RowBatch batch;
  std::uint64_t rows = 0;
  Status failure;
  for (bool more = true; more && failure.ok();) {
    batch.clear();
    const Result<bool> read = (*reader)->read(arguments.batch_rows, batch);
    failure = read.status();
    more = read.ok() && *read;
    if (batch.size() > 0) {
      if (Status status = target.write(arguments.name, batch.inputs()); !status.ok()) {
        failure = std::move(status);
        break;
      }
      rows += batch.size();
    }
    progress.update(rows, (*reader)->bytes_read(), (*reader)->bytes_total());
  }
  Status flushed = target.flush();
  if (failure.ok()) failure = std::move(flushed);
  if (!failure.ok()) {
    return {failure.code(),
            fmt::format("{} (some of the first {} rows are imported; importing the file again is "
                        "safe when its rows bring ids)",
                        failure.message(), count_text(rows)),
            failure.field()};
  }
  progress.finish(rows);
  return put(out, arguments.json ? fmt::format("{{\"imported\":{}}}\n", rows)
                                 : fmt::format("imported {} rows into {}\n", count_text(rows),
                                               arguments.name));
}

Status export_rows(Target& target, const Arguments& arguments, std::FILE* out) {
  std::FILE* file = out;
  if (!arguments.file.empty() && arguments.file != "-") {
    file = std::fopen(arguments.file.c_str(), "wxb");
    if (file == nullptr) {
      return Status::invalid_argument("file",
                                      arguments.file + " cannot be made (is it there already?)");
    }
  }
  ScanOptions options;
  options.filter = arguments.filter;
  options.with_payload = !arguments.without_payload;
  Progress progress(!arguments.quiet && file != out);
  std::uint64_t rows = 0;
  Status status = target.scan(arguments.name, options, [&](const std::vector<Row>& page) {
    std::string text;
    for (const Row& row : page) text += row_json(row) + "\n";
    rows += page.size();
    progress.update(rows, 0, 0);
    return put(file, text);
  });
  if (file == out) return status;
  if (std::fclose(file) != 0 && status.ok()) {
    status = {StatusCode::io_error, arguments.file + " could not be written whole"};
  }
  if (status.ok()) progress.finish(rows);
  return status;
}

// The query's vector: typed, or that of a row.
Status query_vector(Target& target, const Arguments& arguments, Vector& stored,
                    std::vector<float>& typed, Query& query) {
  if (arguments.like_id.empty()) {
    if (arguments.vector.empty()) {
      return Status::invalid_argument("vector", "give --vector 0.1,0.2,... or --id ID");
    }
    Result<std::vector<float>> parsed = parse_vector(arguments.vector);
    VECSERVE_TRY(parsed.status());
    typed = *std::move(parsed);
    query.vector = VectorView(typed);
    return {};
  }
  const Result<RowId> id = parse_row_id(arguments.like_id, arguments.text_ids);
  VECSERVE_TRY(id.status());
  Result<std::vector<std::optional<Row>>> rows = target.get(arguments.name, {*id});
  VECSERVE_TRY(rows.status());
  if (!rows->front()) {
    return {StatusCode::not_found, "there is no row with the id " + id->to_string()};
  }
  stored = std::move(rows->front()->vector);
  query.vector = stored.view();
  return {};
}

Status query(Target& target, const Arguments& arguments, std::FILE* out) {
  Vector stored;
  std::vector<float> typed;
  Query query;
  VECSERVE_TRY(query_vector(target, arguments, stored, typed, query));
  Result<Answer> answer = Status();
  if (arguments.radius) {
    RangeSearchOptions options;
    options.radius = *arguments.radius;
    options.limit = arguments.k;
    options.filter = arguments.filter;
    options.with_payload = !arguments.without_payload;
    options.with_vector = arguments.with_vector;
    options.explain = arguments.explain;
    answer = target.range_search(arguments.name, query, options);
  } else {
    SearchOptions options;
    options.k = arguments.k;
    options.recall = arguments.recall;
    options.ef = arguments.ef;
    options.filter = arguments.filter;
    options.with_payload = !arguments.without_payload;
    options.with_vector = arguments.with_vector;
    options.explain = arguments.explain;
    answer = target.search(arguments.name, query, options);
  }
  VECSERVE_TRY(answer.status());
  if (!arguments.json) {
    return put(out, answer_table(*answer, arguments.with_vector) +
                        (arguments.explain ? explain_table(*answer) : ""));
  }
  std::string text;
  for (const Neighbor& neighbor : answer->result.of(0)) {
    text += neighbor_json(neighbor, !arguments.without_payload) + "\n";
  }
  if (arguments.explain) text += explain_json(*answer) + "\n";
  return put(out, text);
}

Status get(Target& target, const Arguments& arguments, std::FILE* out) {
  std::vector<RowId> ids;
  VECSERVE_TRY(ids_of(arguments, ids));
  const Result<std::vector<std::optional<Row>>> rows = target.get(arguments.name, ids);
  VECSERVE_TRY(rows.status());
  std::string text;
  std::string missing;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    if ((*rows)[i]) {
      text += row_json(*(*rows)[i]) + "\n";
    } else {
      missing += (missing.empty() ? "" : ", ") + ids[i].to_string();
    }
  }
  VECSERVE_TRY(put(out, text));
  if (missing.empty()) return {};
  return {StatusCode::not_found, "there is no row with the id " + missing};
}

Status erase(Target& target, const Arguments& arguments, std::FILE* out) {
  if (arguments.ids.empty() == arguments.filter.empty()) {
    return Status::invalid_argument("ids", "give ids, or --where FILTER; not both");
  }
  Result<WriteResult> written = Status();
  if (arguments.filter.empty()) {
    std::vector<RowId> ids;
    VECSERVE_TRY(ids_of(arguments, ids));
    written = target.erase(arguments.name, ids);
  } else {
    written = target.erase_where(arguments.name, arguments.filter);
  }
  VECSERVE_TRY(written.status());
  return put(out, arguments.json ? fmt::format("{{\"erased\":{}}}\n", written->rows)
                                 : fmt::format("erased {} rows\n", count_text(written->rows)));
}

Status count(Target& target, const Arguments& arguments, std::FILE* out) {
  const Result<std::uint64_t> rows = target.count(arguments.name, arguments.filter);
  VECSERVE_TRY(rows.status());
  return put(
      out, arguments.json ? fmt::format("{{\"count\":{}}}\n", *rows) : fmt::format("{}\n", *rows));
}

Status checkpoint(Target& target, const Arguments& arguments, std::FILE* out) {
  const Result<CheckpointInfo> made = target.checkpoint(arguments.name);
  VECSERVE_TRY(made.status());
  return put(out, arguments.json ? checkpoint_json(*made) + "\n"
                                 : fmt::format("{}: {} rows of {} collections, {}\n", made->path,
                                               count_text(made->rows), made->collections,
                                               bytes_text(made->bytes)));
}

Status verify(Target& target, const Arguments& arguments, std::FILE* out) {
  const Result<VerifyReport> report = target.verify();
  VECSERVE_TRY(report.status());
  return put(
      out,
      arguments.json
          ? fmt::format("{{\"collections\":{},\"rows\":{},\"bytes\":{}}}\n", report->collections,
                        report->rows, report->bytes)
          : fmt::format("all is well: {} rows of {} collections, {} read and compared\n",
                        count_text(report->rows), report->collections, bytes_text(report->bytes)));
}

struct Command {
  std::string_view name;
  Status (*run)(Target&, const Arguments&, std::FILE*);
};

constexpr std::array<Command, 12> kCommands = {{
    {"create", create},
    {"drop", drop},
    {"list", list},
    {"stats", stats},
    {"import", import},
    {"export", export_rows},
    {"query", query},
    {"get", get},
    {"erase", erase},
    {"count", count},
    {"checkpoint", checkpoint},
    {"verify", verify},
}};

}  // namespace

Status run_on(Target& target, const Arguments& arguments, std::FILE* out) {
  for (const Command& command : kCommands) {
    if (command.name == arguments.command) return command.run(target, arguments, out);
  }
  return Status::invalid_argument("command", "there is no command " + arguments.command);
}

Status run_command(const Arguments& arguments, std::FILE* out) {
  if (arguments.command == "restore") {
    VECSERVE_TRY(Database::restore(arguments.name, arguments.destination));
    return put(out, arguments.json ? "{\"restored\":" + text_json(arguments.destination) + "}\n"
                                   : fmt::format("restored; start it with: vecserve --data {}\n",
                                                 arguments.destination));
  }
  Result<std::unique_ptr<Target>> target =
      arguments.folder.empty() ? open_server(arguments.server)
                               : open_folder(arguments.folder, arguments.command == "create");
  VECSERVE_TRY(target.status());
  return run_on(**target, arguments, out);
}

std::string hint_for(const Status& status, const Arguments& arguments) {
  switch (status.code()) {
    case StatusCode::unavailable:
      if (!arguments.folder.empty()) return "";
      return "is a server there? Start one: vecserve --data DIR --listen " +
             arguments.server.address + "; or work on a folder: --data DIR";
    case StatusCode::not_found:
      if (arguments.command == "get" || arguments.command == "query" ||
          arguments.command == "checkpoint") {
        return "";
      }
      return arguments.folder.empty() || arguments.command == "import"
                 ? "see what there is: vecctl list"
                 : "make it: vecctl --data " + arguments.folder + " create NAME --dim N";
    case StatusCode::failed_precondition:
      if (arguments.folder.empty()) return "";
      return "a folder that a server has open is reached through it: --server HOST:PORT";
    case StatusCode::unauthenticated:
      return "give a token: --token-file FILE, or the environment variable VECSERVE_TOKEN";
    case StatusCode::data_loss:
      return "restore the newest checkpoint: vecctl restore CHECKPOINT DIR";
    case StatusCode::resource_exhausted:
      return "try again later, or with less";
    default:
      return "";
  }
}

}  // namespace vecserve::vecctl
