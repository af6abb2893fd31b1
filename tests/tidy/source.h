// A source file as the tidy rules see it: its lines as written, and the same lines with comments
// and literals blanked, so that a rule about code cannot be fooled by text. Comes first: tidy_test
// reads the tree into these, then the rules look at them. Test thread only. Invariant: lines and
// code have the same count, and code[i] is as long as lines[i].
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace vecserve::tidy {

struct Source {
  std::string path;                // from the top of the tree, with forward slashes
  std::vector<std::string> lines;  // as written, without the line ends
  std::vector<std::string> code;   // comments, string and character literals replaced by blanks
};

// One thing that a rule objects to. `line` counts from 1; 0 speaks of the whole file.
struct Finding {
  std::string path;
  std::size_t line = 0;
  std::string rule;
  std::string text;
};

[[nodiscard]] std::string to_string(const Finding& finding);

[[nodiscard]] Source make_source(std::string path, std::string_view text);

// Every C++ and CUDA file of the source folders, sorted by path.
[[nodiscard]] std::vector<Source> read_code(const std::filesystem::path& top);

// Every other text that belongs to the repository: documents, build files, scripts.
[[nodiscard]] std::vector<Source> read_texts(const std::filesystem::path& top);

// Is it C++ (.h, .cc) or CUDA (.cu, .cuh)?
[[nodiscard]] bool is_code(std::string_view path);

// The identifiers of one blanked line, each with its place.
struct Word {
  std::string_view text;
  std::size_t column;
};
[[nodiscard]] std::vector<Word> words_of(std::string_view code_line);

}  // namespace vecserve::tidy
