// vecctl's commands against a real server: the same answers as on a folder, writes pipelined, and
// what a server refuses said as such. Tests the server target of tools/vecctl. Loopback sockets.
// Always holds: what a command printed on the server and on a folder is the same text.
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/ran_command.h"
#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"
#include "tools/vecctl/commands.h"

namespace vecserve::vecctl {
namespace {

using test::Ran;
using test::run_quietly;
using test::ServedDatabase;
using test::TemporaryFolder;

// Every command, in an order that makes sense, and what it printed.
std::vector<std::string> run_all(const Arguments& where, const std::string& rows_file) {
  std::vector<std::string> outs;
  const auto add = [&](const Arguments& arguments) {
    const Ran ran = run_quietly(arguments);
    INFO(arguments.command << ": " << ran.status.to_string());
    CHECK(ran.status.ok());
    outs.push_back(ran.out);
  };
  Arguments create = where;
  create.command = "create";
  create.name = "rows";
  create.dim = 2;
  create.fields = {"n:number"};
  add(create);
  Arguments import = where;
  import.command = "import";
  import.name = "rows";
  import.file = rows_file;
  import.batch_rows = 7;  // many writes on their way together
  add(import);
  for (const std::string command : {"list", "count", "export", "verify"}) {
    Arguments plain = where;
    plain.command = command;
    plain.name = command == "list" || command == "verify" ? "" : "rows";
    if (command != "list") add(plain);  // memory in use may differ
  }
  Arguments query = where;
  query.command = "query";
  query.name = "rows";
  query.vector = "10.2,0";
  query.k = 5;
  query.json = true;
  add(query);
  query.radius = 3.0;
  query.filter = ".n < 12";
  add(query);
  Arguments get = where;
  get.command = "get";
  get.name = "rows";
  get.ids = {"3", "499"};
  add(get);
  Arguments erase = where;
  erase.command = "erase";
  erase.name = "rows";
  erase.ids = {"3", "4", "nobody"};
  add(erase);
  erase.ids.clear();
  erase.filter = ".n >= 400";
  add(erase);
  Arguments drop = where;
  drop.command = "drop";
  drop.name = "rows";
  add(drop);
  return outs;
}

TEST_CASE("vecctl: a server and a folder give the same answers to every command") {
  const TemporaryFolder folder;
  const std::string rows_file = folder.at("rows.jsonl");
  {
    std::ofstream file(rows_file);
    for (int i = 0; i < 500; ++i) {
      file << "{\"id\": " << i << ", \"vector\": [" << i << ", 1], \"payload\": {\"n\": " << i
           << "}}\n";
    }
  }
  ServedDatabase served({}, folder.at("served"));
  Arguments on_server;
  on_server.server.address = served.address;
  {
    Arguments on_folder;
    on_folder.folder = folder.at("db");
    const auto there = run_all(on_server, rows_file);
    const auto here = run_all(on_folder, rows_file);
    REQUIRE(there.size() == here.size());
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(there[i] == here[i]);
  }
  Arguments stats = on_server;
  stats.command = "stats";
  CHECK(run_quietly(stats).status.ok());
}

TEST_CASE(
    "vecctl: an explained query at a server tells the planes there, and so do its statistics") {
  ServedDatabase served;
  (void)served.fill(100);
  Arguments query;
  query.server.address = served.address;
  query.command = "query";
  query.name = "rows";
  query.vector = "1,2,0,0";
  query.explain = true;
  CHECK(run_quietly(query).out.find("PLANE") != std::string::npos);
  query.json = true;
  const std::string text = run_quietly(query).out;
  const auto told = nlohmann::json::parse(text.substr(text.rfind("{\"explain\"")))["explain"];
  CHECK(told["certified"] == true);
  CHECK(told["reads"]["full"] >= 10);
  CHECK(told["times"]["full_ns"] > 0);
  CHECK(told["stages"]["scan_ns"] > 0);
  Arguments stats;
  stats.server.address = served.address;
  stats.command = "stats";
  stats.name = "rows";
  CHECK(run_quietly(stats).out.find("rows read a search") != std::string::npos);
}

TEST_CASE("vecctl: an import that the server refuses says why and how far it came") {
  const TemporaryFolder folder;
  ServedDatabase served;
  (void)served.fill(1);
  std::ofstream(folder.at("rows.csv")) << "id,v0,v1,v2\n1,1,2,3\n";
  Arguments import;
  import.server.address = served.address;
  import.command = "import";
  import.name = "rows";
  import.file = folder.at("rows.csv");
  const Ran ran = run_quietly(import);
  CHECK(ran.status.code() == StatusCode::invalid_argument);
  CHECK(ran.status.message().find("first 1 rows") != std::string::npos);
  import.name = "nothing";
  CHECK(run_quietly(import).status.code() == StatusCode::not_found);
  CHECK(*served.database->collection("rows")->count() == 1);
}

}  // namespace
}  // namespace vecserve::vecctl
