// The files that a run of load is written to, and their flags: the same for every tool that runs
// load. Comes between flags and output, write_views; main thread.
// Always holds: an empty path writes nothing; a path that cannot be written is an exception with
// its name; "-" is standard output.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "tools/loadgen/run_load.h"

namespace vecserve::loadgen {

struct RunFiles {
  std::string json{};
  std::string csv{};
  std::string hgrm{};
  std::string hlog{};
  std::string svg{};
  std::string html{};
};

void add_file_flags(CLI::App& app, RunFiles& files);

void write_to(const std::string& path, const std::function<void(std::ostream&)>& write);
// As one line behind what is there.
void append_json(const std::string& path, const nlohmann::ordered_json& json);
// All but the JSON.
void write_run_files(const RunFiles& files, const LoadRun& run);

}  // namespace vecserve::loadgen
