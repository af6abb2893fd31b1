// What each command of vecctl does, apart from how it is typed: checks, calls the target, writes
// the answer. Comes after the command line (vecctl.cc), above target, readers and tables; the main
// thread only.
// Always holds: on an error nothing but the error is written where the answer would be, save rows
// that an export had written before.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "tools/vecctl/target.h"
#include "vecserve/status.h"

namespace vecserve::vecctl {

// Everything that can be typed; a command looks at what concerns it.
struct Arguments {
  std::string command;

  // Where.
  ClientOptions server;
  std::string folder;  // "": the server

  // About what.
  std::string name;
  std::vector<std::string> ids;
  std::string file;
  std::string format;
  std::string filter;
  bool text_ids = false;
  bool json = false;
  bool quiet = false;

  // create
  std::uint32_t dim = 0;
  std::string metric = "l2";
  std::string type = "f32";
  std::vector<std::string> fields;

  // import
  std::uint64_t first_id = 0;
  std::uint32_t batch_rows = 1'000;
  bool no_header = false;

  // query
  std::string vector;
  std::string like_id;
  std::uint32_t k = 10;
  std::optional<double> radius;
  double recall = 1.0;
  std::uint32_t ef = 0;
  bool with_vector = false;
  bool explain = false;
  bool without_payload = false;

  // restore
  std::string destination;
};

// Opens the target and runs the command; the answer goes to `out`.
[[nodiscard]] Status run_command(const Arguments& arguments, std::FILE* out);

// The same on a target that is open already; not for restore, which needs none.
[[nodiscard]] Status run_on(Target& target, const Arguments& arguments, std::FILE* out);

// What to do about an error, one line; "" when its text says all.
[[nodiscard]] std::string hint_for(const Status& status, const Arguments& arguments);

}  // namespace vecserve::vecctl
