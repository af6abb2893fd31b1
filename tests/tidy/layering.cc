// The include tables and the code that reads them. A new layer or a new third-party library is one
// line here, which is where its reviewer will look. Comes after source, before tidy_test; test
// thread only; an include that no table knows is always a finding, never passed over.
#include "tests/tidy/layering.h"

#include <algorithm>
#include <map>
#include <set>

namespace vecserve::tidy {
namespace {

using Layers = std::set<std::string, std::less<>>;

// Who may include whom. Tests may include everything and stand in no list.
const std::map<std::string, Layers, std::less<>>& allowed_layers() {
  static const std::map<std::string, Layers, std::less<>> table = {
      {"include", {"include"}},
      {"engine/base", {"include", "engine/base"}},
      {"engine/rows", {"include", "engine/base", "engine/rows"}},
      {"engine/scan", {"include", "engine/base", "engine/rows", "engine/scan"}},
      {"engine/graph", {"include", "engine/base", "engine/rows", "engine/scan", "engine/graph"}},
      {"engine/gpu", {"include", "engine/base", "engine/rows", "engine/scan", "engine/gpu"}},
      {"engine/payload", {"include", "engine/base", "engine/rows", "engine/payload"}},
      {"engine/store", {"include", "engine/base", "engine/rows", "engine/store"}},
      {"engine",
       {"include", "engine/base", "engine/rows", "engine/scan", "engine/graph", "engine/gpu",
        "engine/payload", "engine/store", "engine"}},
      {"net", {"include", "engine/base", "net"}},
      {"tools", {"include", "engine/base", "net", "tools"}},
      {"tools/bench",
       {"include", "engine/base", "engine/rows", "engine/scan", "engine/gpu", "engine/store", "net",
        "tools", "tools/bench"}},
      {"examples", {"include"}},
  };
  return table;
}

// A third-party library: how its headers begin, and the path prefixes that may include them.
struct Library {
  std::string_view header;
  std::vector<std::string_view> places;
};

const std::vector<Library>& libraries() {
  static const std::vector<Library> table = {
      {"rocksdb/",
       {"engine/store/", "tests/support/store/", "tests/unit/store/", "tests/programs/",
        "tests/system/", "tools/bench/"}},
      {"xxhash.h", {"engine/store/", "net/frame"}},
      {"hwy/", {"engine/scan/"}},
      {"catch2/", {"tests/"}},
      {"zlib.h", {"tools/report/"}},
      {"nlohmann/", {"tests/", "tools/"}},
      {"simdjson.h", {"engine/payload/", "tools/vecctl/"}},
      {"asio",
       {"net/session", "net/server", "net/lane", "net/client", "tests/unit/net/client",
        "tests/unit/net/session_stream"}},
      {"openssl/",
       {"net/session", "net/server", "net/client", "net/tokens", "tests/support/tls_peer",
        "tests/unit/net/server_tls", "tests/system/hostile_tls"}},
      {"httplib.h", {"net/http"}},
      {"prometheus/", {"net/stats"}},
      {"CLI/", {"tools/", "tests/programs/"}},
      {"fmt/", {"tools/", "tests/programs/"}},
      {"spdlog/", {"tools/"}},
      {"benchmark/", {"tools/bench/"}},
      {"cuda", {"engine/gpu/"}},
      {"cub/", {"engine/gpu/"}},
      {"thrust/", {"engine/gpu/"}},
      {"cooperative_groups", {"engine/gpu/"}},
  };
  return table;
}

// Headers of the system and the compiler: free below the public headers and the examples.
bool is_system(std::string_view header) {
  static const Layers names = {
      "unistd.h",   "fcntl.h", "signal.h",    "poll.h",      "dirent.h",   "pthread.h",
      "sched.h",    "dlfcn.h", "immintrin.h", "emmintrin.h", "arm_neon.h", "cpuid.h",
      "execinfo.h", "spawn.h", "x86intrin.h", "getopt.h",    "stdlib.h",   "malloc.h",
      "netdb.h",    "time.h",  "cxxabi.h",    "arpa/inet.h", "ucontext.h"};
  return header.starts_with("sys/") || header.starts_with("linux/") ||
         header.starts_with("netinet/") || header.starts_with("sanitizer/") ||
         names.contains(header);
}

// Standard headers are the ones without a dot and a folder.
bool is_standard(std::string_view header) {
  return header.find_first_of("./") == std::string_view::npos;
}

bool is_public(std::string_view layer) {
  return layer == "include" || layer == "examples";
}

// "engine/scan/topk.h" of `#include "engine/scan/topk.h"`; empty if the line is no include.
std::string_view included(std::string_view line) {
  if (!line.starts_with("#include")) return {};
  const std::size_t open = line.find_first_of("<\"");
  if (open == std::string_view::npos) return {};
  const std::size_t close = line.find_first_of(">\"", open + 1);
  if (close == std::string_view::npos) return {};
  return line.substr(open + 1, close - open - 1);
}

// The layer that an included name belongs to; empty if it is not a name of this repository.
std::string layer_included(std::string_view header) {
  if (header.starts_with("vecserve/")) return "include";
  return layer_of(header);
}

// What is wrong with a name from outside the repository; empty if nothing.
std::string judge_outside(const Source& source, std::string_view layer, std::string_view header) {
  for (const Library& library : libraries()) {
    if (!header.starts_with(library.header)) continue;
    const bool allowed = std::any_of(
        library.places.begin(), library.places.end(),
        [&](std::string_view place) { return std::string_view(source.path).starts_with(place); });
    if (allowed) return {};
    return std::string(header) + " may not be named here";
  }
  if (is_standard(header)) return {};
  if (is_public(layer)) return std::string(header) + ": only standard headers here";
  if (is_system(header)) return {};
  return std::string(header) + " is in no table of tests/tidy/layering.cc";
}

std::string judge(const Source& source, std::string_view layer, std::string_view header) {
  const std::string target = layer_included(header);
  if (target.empty()) return judge_outside(source, layer, header);
  if (layer == "tests") return {};
  if (target == "tests") return "nothing outside tests/ includes tests/";
  const auto row = allowed_layers().find(layer);
  if (row == allowed_layers().end()) return "this folder is in no table of tests/tidy/layering.cc";
  if (row->second.contains(target)) return {};
  return std::string(layer) + " may not include " + target + " (" + std::string(header) + ")";
}

// A file for one instruction set is built with flags that other machines lack: anything inline that
// it shares could be the copy that the linker keeps.
bool is_isa_file(std::string_view path) {
  return path.starts_with("engine/scan/kernels_avx") ||
         path.starts_with("engine/scan/kernels_amx") ||
         path.starts_with("engine/scan/kernels_vnni") ||
         path.starts_with("engine/scan/kernels_neon");
}

bool isa_may_include(std::string_view header) {
  static const Layers names = {"cstdint",    "cstddef",       "immintrin.h", "emmintrin.h",
                               "arm_neon.h", "sys/syscall.h", "unistd.h"};
  return names.contains(header) || header.starts_with("engine/scan/kernels") ||
         header.starts_with("engine/scan/coarse_") || header.starts_with("engine/scan/sketch_") ||
         header.starts_with("engine/scan/graph_");
}

}  // namespace

std::string layer_of(std::string_view path) {
  static const std::vector<std::string_view> longest_first = {
      "engine/base",    "engine/rows",  "engine/scan", "engine/graph", "engine/gpu",
      "engine/payload", "engine/store", "tools/bench", "engine",       "net",
      "tools",          "tests",        "examples",    "include"};
  for (const std::string_view layer : longest_first) {
    if (path.starts_with(layer) && path.substr(layer.size()).starts_with("/")) {
      return std::string(layer);
    }
  }
  return {};
}

void check_includes(const Source& source, std::vector<Finding>& findings) {
  const std::string layer = layer_of(source.path);
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string_view header = included(source.code[i]);
    if (header.empty()) continue;
    const std::string wrong = judge(source, layer, header);
    if (!wrong.empty()) findings.push_back({source.path, i + 1, "layering", wrong});
    if (is_isa_file(source.path) && !isa_may_include(header)) {
      findings.push_back({source.path, i + 1, "isa-include",
                          std::string(header) + " could leak code of this instruction set"});
    }
  }
}

}  // namespace vecserve::tidy
