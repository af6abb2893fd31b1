// Reads files and blanks what is not code. A hand-written scanner of one state per character: good
// for our own tree, which has no trigraphs and no line-continued comments. Comes before every rule;
// test thread only; always gives as many blanked lines as there are lines.
#include "tests/tidy/source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <utility>

namespace vecserve::tidy {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Walks over text and blanks in place; line ends stay.
class Blanker {
 public:
  explicit Blanker(std::string& text) : text_(text) {}

  void run() {
    while (at_ < text_.size()) {
      if (starts("//")) {
        blank_until("\n", false);
      } else if (starts("/*")) {
        blank_until("*/", true);
      } else if (starts("R\"") && !(at_ > 0 && is_word(text_[at_ - 1]))) {
        raw_string();
      } else if (text_[at_] == '"' && !include_line()) {
        literal('"');
      } else if (text_[at_] == '\'' && !digit_separator()) {
        literal('\'');
      } else {
        ++at_;
      }
    }
  }

 private:
  bool starts(std::string_view what) const { return text_.compare(at_, what.size(), what) == 0; }

  // 1'000: the quote stands between two word characters, and the word began with a digit.
  bool digit_separator() const {
    std::size_t from = at_;
    while (from > 0 && (is_word(text_[from - 1]) || text_[from - 1] == '\'')) --from;
    return from < at_ && std::isdigit(static_cast<unsigned char>(text_[from])) != 0;
  }

  // The name in an #include is needed by the layering rule, so it stays.
  bool include_line() const {
    const std::size_t line = at_ == 0 ? 0 : text_.rfind('\n', at_ - 1) + 1;
    return text_.compare(line, 8, "#include") == 0;
  }

  void blank(std::size_t end) {
    for (; at_ < std::min(end, text_.size()); ++at_) {
      if (text_[at_] != '\n') text_[at_] = ' ';
    }
  }

  void blank_until(std::string_view end, bool with_end) {
    const std::size_t found = text_.find(end, at_ + 1);
    if (found == std::string::npos) return blank(text_.size());
    blank(found + (with_end ? end.size() : 0));
  }

  void literal(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') {
      end += text_[end] == '\\' ? 2U : 1U;
    }
    blank(end + 1);
  }

  void raw_string() {
    const std::size_t open = text_.find('(', at_);
    if (open == std::string::npos) return blank(text_.size());
    const std::string close = ")" + text_.substr(at_ + 2, open - at_ - 2) + "\"";
    blank_until(close, true);
  }

  std::string& text_;
  std::size_t at_ = 0;
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool by_path(const Source& a, const Source& b) {
  return a.path < b.path;
}

void read_folder(const std::filesystem::path& top, const std::filesystem::path& folder,
                 bool want_code, std::vector<Source>& out) {
  if (!std::filesystem::is_directory(folder)) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string path = entry.path().lexically_relative(top).generic_string();
    const bool corpus = path.starts_with("tests/fuzz/corpus/");
    if (!entry.is_regular_file() || corpus || is_code(path) != want_code) continue;
    out.push_back(make_source(path, read_file(entry.path())));
  }
}

constexpr std::array<const char*, 6> kFolders = {"engine", "net",     "tools",
                                                 "tests",  "include", "examples"};

}  // namespace

std::string to_string(const Finding& finding) {
  return finding.path + ":" + std::to_string(finding.line) + ": " + finding.rule + ": " +
         finding.text;
}

Source make_source(std::string path, std::string_view text) {
  std::string blanked(text);
  Blanker(blanked).run();
  return {std::move(path), split(text), split(blanked)};
}

bool is_code(std::string_view path) {
  return path.ends_with(".h") || path.ends_with(".cc") || path.ends_with(".cu") ||
         path.ends_with(".cuh");
}

std::vector<Source> read_code(const std::filesystem::path& top) {
  std::vector<Source> sources;
  for (const char* folder : kFolders) read_folder(top, top / folder, true, sources);
  std::sort(sources.begin(), sources.end(), by_path);
  return sources;
}

std::vector<Source> read_texts(const std::filesystem::path& top) {
  std::vector<Source> sources;
  for (const char* folder : kFolders) read_folder(top, top / folder, false, sources);
  read_folder(top, top / ".ci", false, sources);
  for (const auto& entry : std::filesystem::directory_iterator(top)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || name == "LICENSE" || name == ".git") continue;
    sources.push_back(make_source(name, read_file(entry.path())));
  }
  std::sort(sources.begin(), sources.end(), by_path);
  return sources;
}

std::vector<Word> words_of(std::string_view code_line) {
  std::vector<Word> words;
  std::size_t at = 0;
  while (at < code_line.size()) {
    if (!is_word(code_line[at])) {
      ++at;
      continue;
    }
    const std::size_t from = at;
    while (at < code_line.size() && is_word(code_line[at])) ++at;
    words.push_back({code_line.substr(from, at - from), from});
  }
  return words;
}

}  // namespace vecserve::tidy
