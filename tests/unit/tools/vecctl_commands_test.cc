// vecctl's commands from beginning to end on a folder: what they answer people and programs, and
// what they say when something is wrong. Tests commands, describe and the folder target of
// tools/vecctl. One thread; a folder per case.
// Always holds: with --json, every line that comes out is one JSON object.
#include "tools/vecctl/commands.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/ran_command.h"
#include "tests/support/temporary_folder.h"
#include "tools/vecctl/describe.h"

namespace vecserve::vecctl {
namespace {

using test::Ran;
using test::TemporaryFolder;

struct Desk {
  TemporaryFolder folder;

  Ran run(Arguments arguments) const {
    arguments.folder = folder.at("db");
    return test::run_quietly(std::move(arguments));
  }
  Ran run(const std::string& command, const std::string& name = {}) const {
    Arguments arguments;
    arguments.command = command;
    arguments.name = name;
    return run(arguments);
  }
  void make_books() const {
    Arguments create;
    create.command = "create";
    create.name = "books";
    create.dim = 2;
    create.fields = {"year:number"};
    REQUIRE(run(create).status.ok());
    std::ofstream(folder.at("books.jsonl"))
        << "{\"id\": 1, \"vector\": [0, 0], \"payload\": {\"year\": 1990}}\n"
           "{\"id\": \"two\", \"vector\": [3, 4], \"payload\": {\"year\": 2001}}\n"
           "{\"id\": 3, \"vector\": [1, 0]}\n";
    Arguments import;
    import.command = "import";
    import.name = "books";
    import.file = folder.at("books.jsonl");
    import.batch_rows = 2;
    const Ran ran = run(import);
    REQUIRE(ran.status.ok());
    CHECK(ran.out == "imported 3 rows into books\n");
  }
};

std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST_CASE("vecctl: create, import, query: the three commands to a first answer") {
  const Desk desk;
  desk.make_books();
  Arguments query;
  query.command = "query";
  query.name = "books";
  query.vector = "0,0";
  query.k = 2;
  query.json = true;
  const auto hits = lines_of(desk.run(query).out);
  REQUIRE(hits.size() == 2);
  CHECK(hits[0] == nlohmann::json::parse(R"({"id":1,"distance":0.0,"payload":{"year":1990}})"));
  CHECK(hits[1] == nlohmann::json::parse(R"({"id":3,"distance":1.0,"payload":{}})"));
  query.json = false;
  const std::string table = desk.run(query).out;
  CHECK(table.starts_with("#  ID  DISTANCE  PAYLOAD\n1  1          0  {\"year\": 1990}\n"));
  CHECK(table.find("exact, 2 of 3 rows") != std::string::npos);
}

TEST_CASE("vecctl query: by a row's own vector, within a radius, with a filter and vectors") {
  const Desk desk;
  desk.make_books();
  Arguments query;
  query.command = "query";
  query.name = "books";
  query.like_id = "two";
  query.json = true;
  query.filter = ".year > 0";
  query.with_vector = true;
  const auto hits = lines_of(desk.run(query).out);
  REQUIRE(hits.size() == 2);
  CHECK(hits[0]["id"] == "two");
  CHECK(hits[0]["vector"] == nlohmann::json::parse("[3,4]"));
  CHECK(hits[1]["distance"] == 25.0);
  query.filter.clear();
  query.radius = 24.0;
  CHECK(lines_of(desk.run(query).out).size() == 2);
  query.like_id = "nobody";
  CHECK(desk.run(query).status.code() == StatusCode::not_found);
  query.like_id.clear();
  CHECK(desk.run(query).status.field() == "vector");
  query.vector = "1,2,3";
  CHECK(desk.run(query).status.code() == StatusCode::invalid_argument);
}

TEST_CASE("vecctl query --explain: rows entering each plane, its time, and the certificate") {
  const Desk desk;
  desk.make_books();
  Arguments query;
  query.command = "query";
  query.name = "books";
  query.vector = "0,0";
  CHECK(desk.run(query).out.find("PLANE") == std::string::npos);
  query.explain = true;
  const std::string table = desk.run(query).out;
  CHECK(table.find("PLANE") != std::string::npos);
  CHECK(table.find("certified: yes") != std::string::npos);
  query.json = true;
  for (const bool ranged : {false, true}) {
    if (ranged) query.radius = 2.0;
    const auto lines = lines_of(desk.run(query).out);
    REQUIRE(lines.size() == (ranged ? 3 : 4));
    const nlohmann::json& told = lines.back()["explain"];
    CHECK(told["certified"] == true);
    CHECK(told["reruns"] == 0);
    CHECK(told["reads"]["full"] >= 3);
    CHECK(told["times"]["full_ns"] > 0);
    CHECK(told["times"]["sketch_ns"] == 0);
    CHECK(told["stages"]["scan_ns"] > 0);
  }
}

TEST_CASE("vecctl query: a recall that is wanted is obeyed, and said of what is not exact") {
  const Desk desk;
  desk.make_books();
  Arguments query;
  query.command = "query";
  query.name = "books";
  query.vector = "0,0";
  query.recall = 0.9;
  query.ef = 20;
  CHECK(desk.run(query).out.find("exact, 3 of 3 rows") != std::string::npos);  // too few to walk
  query.recall = 1.5;
  CHECK(desk.run(query).status.field() == "recall");
  query.recall = 1.0;
  query.ef = 70'000;
  CHECK(desk.run(query).status.field() == "ef");
  Answer answer;
  answer.result.offsets = {0, 0};
  answer.result.certified = {0};
  answer.result.recall = 0.9512;
  CHECK(answer_table(answer, false).find("approximate, recall 0.951 expected") !=
        std::string::npos);
}

TEST_CASE("vecctl export: what comes out goes in again") {
  const Desk desk;
  desk.make_books();
  Arguments rows;
  rows.command = "export";
  rows.name = "books";
  const std::string first = desk.run(rows).out;
  CHECK(lines_of(first).size() == 3);
  rows.file = desk.folder.at("copy.jsonl");
  REQUIRE(desk.run(rows).status.ok());
  CHECK(desk.run(rows).status.field() == "file");  // never over a file that is there
  Arguments create;
  create.command = "create";
  create.name = "copy";
  create.dim = 2;
  REQUIRE(desk.run(create).status.ok());
  Arguments import;
  import.command = "import";
  import.name = "copy";
  import.file = rows.file;
  REQUIRE(desk.run(import).status.ok());
  rows.name = "copy";
  rows.file.clear();
  CHECK(desk.run(rows).out == first);
  rows.filter = ".year == 1990";
  CHECK(lines_of(desk.run(rows).out).size() == 1);
}

TEST_CASE("vecctl: get, count and erase, by id and by filter") {
  const Desk desk;
  desk.make_books();
  Arguments get;
  get.command = "get";
  get.name = "books";
  get.ids = {"two", "9", "1"};
  const Ran ran = desk.run(get);
  CHECK(ran.status.code() == StatusCode::not_found);
  CHECK(ran.status.message().find("9") != std::string::npos);
  CHECK(lines_of(ran.out).size() == 2);
  Arguments count;
  count.command = "count";
  count.name = "books";
  count.filter = ".year > 2000";
  CHECK(desk.run(count).out == "1\n");
  Arguments erase;
  erase.command = "erase";
  erase.name = "books";
  CHECK(desk.run(erase).status.field() == "ids");
  erase.filter = ".year > 2000";
  CHECK(desk.run(erase).out == "erased 1 rows\n");
  erase.ids = {"1"};
  CHECK(desk.run(erase).status.field() == "ids");
  erase.filter.clear();
  erase.json = true;
  CHECK(desk.run(erase).out == "{\"erased\":1}\n");
  count.filter.clear();
  count.json = true;
  CHECK(desk.run(count).out == "{\"count\":1}\n");
}

TEST_CASE("vecctl: lists and statistics, for people and for programs") {
  const Desk desk;
  CHECK(desk.run("list").status.code() == StatusCode::not_found);  // no folder is made by looking
  desk.make_books();
  const std::string list = desk.run("list").out;
  CHECK(list.starts_with("NAME   ROWS  DIM  METRIC  TYPE"));
  CHECK(list.find("year:number") != std::string::npos);
  for (const std::string name : {"", "books"}) {
    Arguments stats;
    stats.command = "stats";
    stats.name = name;
    CHECK_FALSE(desk.run(stats).out.empty());
    stats.json = true;
    const auto lines = lines_of(desk.run(stats).out);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0]["rows"] == 3);
    CHECK(lines[0].contains(name.empty() ? "gpu" : "coarse_bytes"));
    if (!name.empty()) CHECK(lines[0]["reads"]["full"] == 0);
  }
  Arguments drop;
  drop.command = "drop";
  drop.name = "books";
  CHECK(desk.run(drop).out == "dropped books\n");
  CHECK(desk.run(drop).status.code() == StatusCode::not_found);
  CHECK(desk.run("list").out.find("vecctl create") != std::string::npos);
}

TEST_CASE("vecctl: a checkpoint is restored to a folder that works") {
  const Desk desk;
  desk.make_books();
  Arguments checkpoint;
  checkpoint.command = "checkpoint";
  checkpoint.name = desk.folder.at("copy");
  checkpoint.json = true;
  CHECK(lines_of(desk.run(checkpoint).out).at(0)["rows"] == 3);
  CHECK(desk.run("verify").out.starts_with("all is well: 3 rows"));
  Arguments restore;
  restore.command = "restore";
  restore.name = checkpoint.name;
  restore.destination = desk.folder.at("again");
  REQUIRE(desk.run(restore).status.ok());
  auto again = open_folder(restore.destination, false);
  REQUIRE(again.ok());
  CHECK(*(*again)->count("books", "") == 3);
}

TEST_CASE("vecctl import: an error says how far it came, and nothing of the bad batch is missing") {
  const Desk desk;
  desk.make_books();
  std::ofstream(desk.folder.at("bad.jsonl")) << "{\"id\": 10, \"vector\": [1, 1]}\n"
                                                "{\"id\": 11, \"vector\": [1]}\n";
  Arguments import;
  import.command = "import";
  import.name = "books";
  import.file = desk.folder.at("bad.jsonl");
  const Ran ran = desk.run(import);
  CHECK(ran.status.code() == StatusCode::invalid_argument);
  CHECK(ran.out.empty());
  import.file = desk.folder.at("bad.txt");
  CHECK(desk.run(import).status.field() == "format");
  import.format = "csv";
  CHECK(desk.run(import).status.code() == StatusCode::not_found);
  import.name = "nothing";
  import.file = desk.folder.at("bad.jsonl");
  import.format.clear();
  CHECK(desk.run(import).status.code() == StatusCode::not_found);
}

TEST_CASE("vecctl: errors come with what to do about them") {
  Arguments on_server;
  on_server.command = "list";
  CHECK(hint_for({StatusCode::unavailable, ""}, on_server).find("vecserve --data") !=
        std::string::npos);
  CHECK(hint_for({StatusCode::unauthenticated, ""}, on_server).find("--token-file") !=
        std::string::npos);
  Arguments on_folder = on_server;
  on_folder.folder = "db";
  CHECK(hint_for({StatusCode::not_found, ""}, on_folder).find("--data db create") !=
        std::string::npos);
  CHECK(hint_for({StatusCode::failed_precondition, ""}, on_folder).find("--server") !=
        std::string::npos);
  CHECK(hint_for({StatusCode::invalid_argument, ""}, on_folder).empty());
}

}  // namespace
}  // namespace vecserve::vecctl
