// The rules about the tree: names of files compared with names of files, and text compared with the
// place of the checkout. Comes after source, before tidy_test; test thread only; a file that a rule
// does not understand is a finding, so that nothing falls out of the build unseen.
#include "tests/tidy/tree_rules.h"

#include <algorithm>
#include <array>
#include <set>

namespace vecserve::tidy {
namespace {

std::string stem_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  return std::string(name.substr(0, name.find('.')));
}

// The test that covers a source of that name. All kernel tables share one conformance test, and
// what is built in place of an absent library has nothing in it to test.
std::string test_of(const std::string& stem) {
  if (stem.ends_with("_off")) return {};
  if (stem.starts_with("kernels_")) return "kernels_test";
  return stem + "_test";
}

// Where a .cc under tests/ may stand: folder, and how its name must end.
struct Place {
  std::string_view folder;
  std::string_view ending;
};

constexpr std::array<Place, 19> kPlaces = {{
    {"tests/unit/base/", "_test.cc"},
    {"tests/unit/rows/", "_test.cc"},
    {"tests/unit/scan/", "_test.cc"},
    {"tests/unit/graph/", "_test.cc"},
    {"tests/unit/gpu/", "_test.cc"},
    {"tests/unit/payload/", "_test.cc"},
    {"tests/unit/store/", "_test.cc"},
    {"tests/unit/engine/", "_test.cc"},
    {"tests/unit/net/", "_test.cc"},
    {"tests/unit/tools/", "_test.cc"},
    {"tests/conformance/", "_test.cc"},
    {"tests/system/", "_test.cc"},
    {"tests/fuzz/", "_fuzz.cc"},
    {"tests/programs/", ".cc"},
    {"tests/programs/support/", ".cc"},
    {"tests/support/", ".cc"},
    {"tests/support/simt/", ".cc"},
    {"tests/support/store/", ".cc"},
    {"tests/tidy/", ".cc"},
}};

bool is_built(std::string_view path) {
  if (path == "tests/main.cc") return true;
  const std::string_view folder = path.substr(0, path.rfind('/') + 1);
  return std::any_of(kPlaces.begin(), kPlaces.end(), [&](const Place& place) {
    return place.folder == folder && path.ends_with(place.ending);
  });
}

// Spelled backwards, so that this file does not hold what it looks for.
constexpr std::array<std::string_view, 3> kHomesBackwards = {"/emoh/", "/toor/", "/sresU/"};

// Shorter than this, the folder of a checkout is a word that any text may hold.
constexpr std::size_t kCheckoutCharsMin = 6;

}  // namespace

void check_tested(const std::vector<Source>& sources, std::vector<Finding>& findings) {
  std::set<std::string> tests;
  for (const Source& source : sources) {
    if (source.path.starts_with("tests/")) tests.insert(stem_of(source.path));
  }
  for (const Source& source : sources) {
    const bool product = source.path.starts_with("engine/") || source.path.starts_with("net/");
    if (!product || !source.path.ends_with(".cc")) continue;
    const std::string test = test_of(stem_of(source.path));
    if (test.empty() || tests.contains(test)) continue;
    findings.push_back({source.path, 0, "untested", "there is no " + test + ".cc under tests/"});
  }
}

void check_built(const std::vector<Source>& sources, std::vector<Finding>& findings) {
  for (const Source& source : sources) {
    const bool test = source.path.starts_with("tests/") && source.path.ends_with(".cc");
    if (!test || is_built(source.path)) continue;
    findings.push_back({source.path, 0, "not-built", "tests/CMakeLists.txt builds nothing here"});
  }
}

void check_paths(const Source& source, std::string_view checkout, std::vector<Finding>& findings) {
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::string_view line = source.lines[i];
    bool found = checkout.size() >= kCheckoutCharsMin && line.find(checkout) != line.npos;
    for (const std::string_view backwards : kHomesBackwards) {
      const std::string home(backwards.rbegin(), backwards.rend());
      found = found || line.find(home) != line.npos;
    }
    if (found) findings.push_back({source.path, i + 1, "machine-path", std::string(line)});
  }
}

void check_top(const std::vector<std::string>& names, std::vector<Finding>& findings) {
  static const std::set<std::string> allowed = {"CMakeLists.txt",
                                                "CMakePresets.json",
                                                "engine",
                                                "net",
                                                "tools",
                                                "tests",
                                                "include",
                                                "examples",
                                                "README.md",
                                                "ARCHITECTURE.md",
                                                "CONTRIBUTING.md",
                                                "SECURITY.md",
                                                "CHANGELOG.md",
                                                "LICENSE",
                                                "run",
                                                "data"};
  for (const std::string& name : names) {
    if (name.starts_with(".") || name.starts_with("build") || allowed.contains(name)) continue;
    findings.push_back({name, 0, "top-level", "the design has no such entry at the top"});
  }
}

}  // namespace vecserve::tidy
