// vecctl: the command line to a vecserve server, or to a database folder without one. Parses what
// is typed and hands it to commands; the main thread only. Leaves with 0 when all went well, 1 when
// the command failed, 2 when it was typed wrongly.
// Always holds: answers go to standard output, everything else to standard error; a token never
// stands on the command line.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "tools/vecctl/commands.h"

namespace {

using vecserve::vecctl::Arguments;

constexpr const char* kFilterHelp =
    "Only rows that match, such as '.year >= 1990 and .genre in [\"jazz\", \"soul\"]'";

// Options that stand before or behind any command.
struct Everywhere {
  std::string token_file;
  double timeout_s = 30.0;
  std::string priority = "interactive";
};

void add_everywhere(CLI::App& app, Arguments& to, Everywhere& more) {
  app.add_option("-s,--server", to.server.address, "Server: HOST:PORT, [IPV6]:PORT or unix:/PATH")
      ->capture_default_str()
      ->envname("VECSERVE_SERVER");
  app.add_option("-d,--data", to.folder,
                 "Work on this database folder, in this process, instead of a server");
  app.add_option("--token-file", more.token_file,
                 "File whose first line is the token; or VECSERVE_TOKEN in the environment")
      ->check(CLI::ExistingFile);
  app.add_flag("--tls", to.server.tls.enabled, "Speak TLS");
  app.add_option("--ca", to.server.tls.ca_file,
                 "PEM file of who may sign the server's certificate (the system's authorities)");
  app.add_option("--tls-name", to.server.tls.server_name,
                 "Name in the server's certificate (the host of --server)");
  app.add_option("--timeout", more.timeout_s, "Seconds that one call may take")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 3600.0));
  app.add_flag("--json", to.json, "One JSON object per line, for programs");
  app.add_flag("-q,--quiet", to.quiet, "No progress on standard error");
  app.add_flag("--text-ids", to.text_ids, "Ids on the command line are texts, digits as well");
}

void add_collections(CLI::App& app, Arguments& to) {
  CLI::App* const create = app.add_subcommand("create", "Make a collection");
  create->add_option("name", to.name, "1 to 64 of A-Z a-z 0-9 _ -")->required();
  create->add_option("--dim", to.dim, "Dimensions of its vectors, 1 to 65536")->required();
  create->add_option("--metric", to.metric, "l2, dot, cosine, l1 or hamming")
      ->capture_default_str();
  create->add_option("--type", to.type, "Stored as f32, f16, bf16, i8, u8 or bit")
      ->capture_default_str();
  create->add_option("--field", to.fields,
                     "NAME:TYPE, a payload field that filters use often; number, string, boolean");
  CLI::App* const drop = app.add_subcommand("drop", "Remove a collection with all its rows");
  drop->add_option("name", to.name)->required();
  app.add_subcommand("list", "The collections");
  CLI::App* const stats = app.add_subcommand("stats", "What is known about the database or one");
  stats->add_option("name", to.name, "A collection (the whole database)");
}

void add_files(CLI::App& app, Arguments& to) {
  CLI::App* const import =
      app.add_subcommand("import", "Write the rows of a file; rows with known ids are replaced");
  import->add_option("name", to.name, "The collection")->required();
  import
      ->add_option("file", to.file,
                   ".npy, .fvecs, .bvecs, JSON lines with id, vector and payload, or CSV; - reads "
                   "standard input (jsonl, csv)")
      ->required();
  import->add_option("--format", to.format, "npy, fvecs, bvecs, jsonl or csv (by the file's name)");
  import->add_option("--first-id", to.first_id, "Of rows without an id, then counting up")
      ->capture_default_str();
  import->add_option("--batch", to.batch_rows, "Rows of one write")
      ->capture_default_str()
      ->check(CLI::Range(1U, 100'000U));
  import->add_flag("--no-header", to.no_header, "CSV without column names: coordinates alone");
  CLI::App* const rows = app.add_subcommand("export", "All rows as JSON lines");
  rows->add_option("name", to.name, "The collection")->required();
  rows->add_option("file", to.file, "A new file (standard output)");
  rows->add_option("--filter", to.filter, kFilterHelp);
  rows->add_flag("--no-payload", to.without_payload, "Ids and vectors only");
}

void add_rows(CLI::App& app, Arguments& to) {
  CLI::App* const query = app.add_subcommand("query", "The rows nearest to a vector");
  query->add_option("name", to.name, "The collection")->required();
  CLI::Option* const vector = query->add_option("--vector", to.vector, "Coordinates: 0.1,0.2,...");
  CLI::Option* const like = query->add_option("--id", to.like_id, "The vector of this row");
  vector->excludes(like);
  query->add_option("--k", to.k, "Rows at most")
      ->capture_default_str()
      ->check(CLI::Range(1U, 65'536U));
  CLI::Option* const radius =
      query->add_option("--radius", to.radius, "Rows within this distance, --k of them at most");
  query->add_option("--recall", to.recall, "Approximately: this share of the true answers, as 0.95")
      ->excludes(radius);
  query->add_option("--ef", to.ef, "Approximately: so many rows kept in sight, at most 65536")
      ->excludes(radius);
  query->add_option("--filter", to.filter, kFilterHelp);
  query->add_flag("--with-vector", to.with_vector, "Their vectors too");
  query->add_flag("--explain", to.explain,
                  "Also the planes that it read: rows entering each, and the time in it");
  query->add_flag("--no-payload", to.without_payload, "Without their payloads");
  CLI::App* const get = app.add_subcommand("get", "Rows by id, as JSON lines");
  get->add_option("name", to.name, "The collection")->required();
  get->add_option("ids", to.ids, "Digits are a number, anything else is a text")->required();
  CLI::App* const erase = app.add_subcommand("erase", "Remove rows, by id or by filter");
  erase->add_option("name", to.name, "The collection")->required();
  erase->add_option("ids", to.ids, "Ids that do not exist are passed over");
  erase->add_option("--where", to.filter, kFilterHelp);
  CLI::App* const count = app.add_subcommand("count", "How many rows there are, or match");
  count->add_option("name", to.name, "The collection")->required();
  count->add_option("--filter", to.filter, kFilterHelp);
}

void add_safety(CLI::App& app, Arguments& to) {
  CLI::App* const checkpoint =
      app.add_subcommand("checkpoint", "A complete, verified copy of the database as of now");
  checkpoint->add_option("name", to.name, "A name, in the server's folder; a path with --data")
      ->required();
  app.add_subcommand("verify", "Read everything stored and compare it with what is served");
  CLI::App* const restore = app.add_subcommand(
      "restore", "Copy a checkpoint to a new database folder and verify it; needs no server");
  restore->add_option("checkpoint", to.name, "Folder of the checkpoint; only read")->required();
  restore->add_option("folder", to.destination, "Where to; must not exist")->required();
}

void take_token(Arguments& arguments, const Everywhere& more) {
  if (!more.token_file.empty()) {
    std::ifstream file(more.token_file);
    std::getline(file, arguments.server.token);
  } else if (const char* const token = std::getenv("VECSERVE_TOKEN"); token != nullptr) {
    arguments.server.token = token;
  }
}

int fail(const vecserve::Status& status, const Arguments& arguments) {
  std::string text = "vecctl: " + status.to_string() + "\n";
  const std::string hint = vecserve::vecctl::hint_for(status, arguments);
  if (!hint.empty()) text += "vecctl: " + hint + "\n";
  std::fputs(text.c_str(), stderr);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The command line of vecserve, a vector database.", "vecctl");
  app.footer(
      "To a first answer:\n"
      "  vecctl create books --dim 3 --metric l2\n"
      "  vecctl import books books.jsonl\n"
      "  vecctl query books --vector 0.1,0.2,0.3 --k 3");
  app.fallthrough();
  app.require_subcommand(1);
  Arguments arguments;
  Everywhere more;
  add_everywhere(app, arguments, more);
  add_collections(app, arguments);
  add_files(app, arguments);
  add_rows(app, arguments);
  add_safety(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  arguments.command = app.get_subcommands().front()->get_name();
  arguments.server.timeout =
      std::chrono::microseconds(static_cast<std::int64_t>(more.timeout_s * 1e6));
  take_token(arguments, more);
  const vecserve::Status status = vecserve::vecctl::run_command(arguments, stdout);
  if (!status.ok()) return fail(status, arguments);
  if (std::fflush(stdout) != 0) {
    return fail({vecserve::StatusCode::io_error, "standard output could not be written"},
                arguments);
  }
  return 0;
}
