// The rules that look at one file at a time, over its blanked lines. Plain tables of names with the
// reason beside each, so that adding one is adding a line. Comes after source; test thread only; a
// rule sees code only, never what stands in comments or literals (except where it is about words).
#include "tests/tidy/code_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/functions.h"

namespace vecserve::tidy {
namespace {

// A name that may not be used under a folder, and what to do instead.
struct Banned {
  std::string_view name;
  std::string_view instead;
};

constexpr std::array<Banned, 24> kBannedInProduct = {{
    {"printf", "the library never prints; return a Status"},
    {"fprintf", "the library never prints; return a Status"},
    {"puts", "the library never prints; return a Status"},
    {"fputs", "the library never prints; return a Status"},
    {"cout", "the library never prints; return a Status"},
    {"cerr", "the library never prints; return a Status"},
    {"clog", "the library never prints; return a Status"},
    {"abort", "the library never ends its host; VECSERVE_CHECK for own mistakes"},
    {"exit", "the library never ends its host; return a Status"},
    {"_exit", "the library never ends its host; return a Status"},
    {"quick_exit", "the library never ends its host; return a Status"},
    {"terminate", "the library never ends its host; return a Status"},
    {"throw", "errors are values; return a Status (std::bad_alloc alone may be thrown)"},
    {"assert", "VECSERVE_CHECK or VECSERVE_DCHECK"},
    {"sprintf", "std::to_chars or std::string"},
    {"strcpy", "std::string or std::memcpy with a checked length"},
    {"strcat", "std::string"},
    {"atoi", "std::from_chars"},
    {"atof", "std::from_chars"},
    {"rand", "a seeded std::mt19937_64"},
    {"detach", "a thread has an owner that joins it"},
    {"setenv", "not safe beside other threads"},
    {"system", "the library starts no programs"},
    {"system_clock", "engine/base/clock.h"},
}};

constexpr std::array<Banned, 5> kSleeps = {{
    {"sleep_for", "wait for the thing itself: a condition, a future, a manual clock"},
    {"sleep_until", "wait for the thing itself: a condition, a future, a manual clock"},
    {"usleep", "wait for the thing itself: a condition, a future, a manual clock"},
    {"nanosleep", "wait for the thing itself: a condition, a future, a manual clock"},
    {"sleep", "wait for the thing itself: a condition, a future, a manual clock"},
}};

// The two places that may do what is banned elsewhere: a failed check says so on standard error,
// and the clock reads the system's clocks.
constexpr std::array<std::string_view, 3> kExcepted = {"engine/base/check.h", "engine/base/clock.h",
                                                       "engine/base/clock.cc"};

// Spelled backwards, so that this file does not hold what it looks for.
const std::vector<std::string>& unfinished_words() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> list = {
        "ODOT", "EMXIF", "KCAH", "redlohecalp", "debbuts", "won rof", "tey detnemelpmi ton"};
    for (std::string& word : list) std::reverse(word.begin(), word.end());
    list.emplace_back(3, 'X');
    return list;
  }();
  return words;
}

bool under(const Source& source, std::string_view folder) {
  return std::string_view(source.path).starts_with(folder);
}

// A member of one's own may have such a name: row.exit() and store->abort() are not the C
// functions. A declaration of one (`void abort();`) is not told apart, so do not declare one.
bool is_member(std::string_view code, std::size_t column) {
  if (column == 0) return false;
  if (code[column - 1] == '.') return true;
  return column > 1 && code[column - 1] == '>' && code[column - 2] == '-';
}

// Out of memory is the one failure that travels as an exception inside the engine, as it does from
// the standard library; the public border turns it into a Status. Passing on what was caught is no
// throw.
bool is_out_of_memory(std::string_view code, const Word& word) {
  const std::string_view rest = code.substr(word.column);
  return rest.starts_with("throw std::bad_alloc") || rest.starts_with("throw;");
}

template <std::size_t N>
void check_names(const Source& source, const std::array<Banned, N>& names,
                 std::vector<Finding>& findings) {
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    if (source.code[i].starts_with("#")) continue;
    for (const Word& word : words_of(source.code[i])) {
      const auto* const hit = std::find_if(names.begin(), names.end(), [&](const Banned& banned) {
        return banned.name == word.text;
      });
      if (hit == names.end()) continue;
      if (is_member(source.code[i], word.column) && hit->name != "detach") continue;
      if (is_out_of_memory(source.code[i], word)) continue;
      findings.push_back({source.path, i + 1, "banned",
                          std::string(hit->name) + ": " + std::string(hit->instead)});
      break;
    }
  }
}

// Is there `word` in the text, standing alone? Lower-case words match in any case.
bool has_word(std::string_view text, std::string_view word) {
  const bool any_case =
      std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::isupper(c) != 0; });
  const auto same = [any_case](unsigned char a, unsigned char b) {
    return any_case ? std::tolower(a) == std::tolower(b) : a == b;
  };
  const auto in_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  auto from = text.begin();
  while (true) {
    const auto hit = std::search(from, text.end(), word.begin(), word.end(), same);
    if (hit == text.end()) return false;
    const auto end = hit + static_cast<std::ptrdiff_t>(word.size());
    const bool open = hit == text.begin() || !in_word(static_cast<unsigned char>(*(hit - 1)));
    if (open && (end == text.end() || !in_word(static_cast<unsigned char>(*end)))) return true;
    from = hit + 1;
  }
}

// Characters, not bytes: a UTF-8 continuation byte starts no character.
std::size_t chars_of(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

void check_opening(const Source& source, std::vector<Finding>& findings) {
  std::size_t comment = 0;
  while (comment < source.lines.size() && source.lines[comment].starts_with("//")) ++comment;
  if (comment < kOpeningLinesMin) {
    findings.push_back(
        {source.path, 1, "opening",
         "open with a comment of at least 3 lines: what it is, where it stands in the "
         "path, which thread, what always holds"});
  }
  const bool header = source.path.ends_with(".h") || source.path.ends_with(".cuh");
  const bool once =
      std::find(source.code.begin(), source.code.end(), "#pragma once") != source.code.end();
  if (header && !once) findings.push_back({source.path, 1, "opening", "#pragma once is missing"});
}

void check_sizes(const Source& source, std::vector<Finding>& findings) {
  if (source.lines.size() > kFileLinesMax) {
    findings.push_back({source.path, source.lines.size(), "file-size",
                        std::to_string(source.lines.size()) + " lines, at most 500"});
  }
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::size_t chars = chars_of(source.lines[i]);
    if (chars <= kLineCharsMax) continue;
    findings.push_back(
        {source.path, i + 1, "line-size", std::to_string(chars) + " characters, at most 100"});
  }
  for (const Function& function : functions_of(source)) {
    const std::size_t lines = function.last_line - function.first_line + 1;
    if (lines <= kFunctionLinesMax) continue;
    findings.push_back({source.path, function.first_line, "function-size",
                        std::to_string(lines) + " lines, at most 70"});
  }
}

void check_banned(const Source& source, std::vector<Finding>& findings) {
  const bool product =
      under(source, "engine/") || under(source, "include/") || under(source, "net/");
  const bool excepted =
      std::find(kExcepted.begin(), kExcepted.end(), source.path) != kExcepted.end();
  if (product && !excepted) check_names(source, kBannedInProduct, findings);
  if (product || under(source, "tests/")) check_names(source, kSleeps, findings);
}

void check_finished(const Source& source, std::vector<Finding>& findings) {
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    for (const std::string& word : unfinished_words()) {
      if (!has_word(source.lines[i], word)) continue;
      findings.push_back({source.path, i + 1, "unfinished", word});
      break;
    }
  }
}

}  // namespace vecserve::tidy
